"""Packed weights are within half a step of the original, their errors do not accumulate, and they take few bits."""

from __future__ import annotations

import hashlib
import lzma
from dataclasses import replace

import numpy as np
import pytest

from ernie_builders.checkpoints import delta
from ernie_builders.checkpoints.delta import Reference, Tensor, decode, encode, plan
from ernie_builders.checkpoints.weight_formats import fingerprint
from ernie_builders.errors import CheckpointError

Weights = dict[str, np.ndarray]
WORDS = "ernie.embeddings.word_embeddings.weight"
TYPES = "ernie.embeddings.token_type_embeddings.weight"
MATRIX = "ernie.encoder.layers.0.linear1.weight"
STEP = 0.02


def draw(seed: int, std: float, head: bool = True) -> Weights:
    generator = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        WORDS: (6000, 16),
        TYPES: (4, 16),
        "ernie.embeddings.position_embeddings.weight": (64, 16),
        "ernie.encoder.layers.0.self_attn.q_proj.weight": (16, 16),
        "ernie.encoder.layers.0.self_attn.v_proj.weight": (16, 16),
        MATRIX: (16, 2048),
        "ernie.encoder.layers.0.norm1.weight": (16,),
    }
    if head:
        shapes |= {"classifier.weight": (16, 5), "classifier.bias": (5,), "scale": ()}
    return {
        name: np.asarray(std * generator.standard_normal(shape), np.float32).reshape(shape)
        for name, shape in shapes.items()
    }


def trained(base: Weights, change: float = 0.008) -> Weights:
    weights = draw(1, change)
    return {name: value + base[name] if name in base else value * 20 for name, value in weights.items()}


@pytest.fixture(scope="module")
def base() -> Weights:
    return draw(0, 0.05, head=False)


def test_every_weight_is_within_half_its_step(base: Weights) -> None:
    weights = trained(base)
    packed = encode(weights, STEP, base, "b")
    back = decode(packed, base, "here")
    assert back.keys() == weights.keys()
    for tensor in packed.tensors:
        decoded, value = back[tensor.name], weights[tensor.name]
        assert decoded.dtype == np.float32
        assert decoded.shape == value.shape
        assert (np.abs(decoded - value) <= tensor.steps() / 2 + 1e-6).all(), tensor.name


def test_weights_that_every_token_passes_have_finer_steps() -> None:
    assert plan(MATRIX, (16, 64), STEP).steps() == pytest.approx(1.4 * STEP)
    for name, shape in ((TYPES, (4, 16)), ("ernie.pooler.dense.bias", (16,)), ("classifier.weight", (16, 5))):
        assert plan(name, shape, STEP).steps() == pytest.approx(STEP / 16)
    assert plan("cls.predictions.decoder", (8000, 312), STEP).steps() == STEP, "a head as large as a table is none"
    words = plan(WORDS, (6000, 16), STEP).steps()
    assert words.shape == (6000, 1)
    assert words[0, 0] == STEP / 16
    assert words[999, 0] == STEP / 2
    assert (words[4000:] == STEP).all()


def test_small_changes_in_one_direction_are_not_lost(base: Weights) -> None:
    """A tenth of a step everywhere: plain rounding would give 0."""
    weights = {**base, MATRIX: base[MATRIX] + np.float32(0.1 * STEP)}
    back = decode(encode(weights, STEP, base, "b"), base, "here")
    assert (back[MATRIX] - base[MATRIX]).mean() == pytest.approx(0.1 * STEP, rel=0.05)


def test_the_error_does_not_depend_on_the_change(base: Weights) -> None:
    weights = trained(base)
    packed = encode(weights, STEP, base, "b")
    change, decoded_change = weights[MATRIX] - base[MATRIX], decode(packed, base, "here")[MATRIX] - base[MATRIX]
    error = decoded_change - change
    assert abs(np.corrcoef(error.ravel(), change.ravel())[0, 1]) < 0.02
    assert error.std() == pytest.approx(1.4 * STEP / np.sqrt(12), rel=0.02)


def test_bits_per_weight(base: Weights) -> None:
    """Near the entropy of the changes, and almost none for weights that did not change."""
    packed = encode(trained(base), STEP, base, "b")
    assert 8 * len(packed.packed) / packed.values < 1.7
    same = encode(base, STEP, base, "b")
    assert len(same.packed) < 300


def test_large_values_without_a_base() -> None:
    """Layer norms are around 1, hundreds of fine steps; a table may hold what takes three bytes."""
    weights = {
        "ernie.norm.weight": np.array([1, -1, 0.5, 3000], np.float32),
        WORDS: np.linspace(-900, 900, 14, dtype=np.float32).reshape(7, 2),
    }
    packed = encode(weights, STEP)
    assert packed.base is None
    back = decode(packed, None, "here")
    for name, value in weights.items():
        np.testing.assert_allclose(back[name], value, atol=STEP / 2 + 1e-4)


def test_a_tensor_of_another_shape_is_stored_in_full(base: Weights) -> None:
    longer = np.concatenate([base[TYPES], base[TYPES]])
    back = decode(encode({**base, TYPES: longer}, STEP, base, "b"), base, "here")
    np.testing.assert_allclose(back[TYPES], longer, atol=STEP / 16)


def test_the_same_input_gives_the_same_bytes(base: Weights) -> None:
    weights = trained(base)
    first = encode(weights, STEP, base, "b")
    backwards = {name: weights[name].astype(np.float64).astype(np.float32) for name in reversed(weights)}
    assert encode(backwards, STEP, base, "b") == first


def test_the_noise_never_changes() -> None:
    """If numpy drew another stream, every shipped checkpoint would decode wrongly."""
    noise = Tensor(MATRIX, (2, 2), STEP).dither()
    assert noise.min() >= -0.5
    assert noise.max() < 0.5
    np.testing.assert_allclose(
        noise, [[0.1325640479461576, 0.2455778178374053], [0.0660457621354575, 0.0147596532769327]], atol=1e-15
    )


def test_the_fingerprint_depends_on_the_values_only(base: Weights) -> None:
    assert fingerprint(dict(reversed(base.items()))) == fingerprint(base)
    assert fingerprint({n: v.astype(np.float64) for n, v in base.items()}) == fingerprint(base)
    changed = {**base, TYPES: np.nextafter(base[TYPES], np.float32(9))}
    assert fingerprint(changed) != fingerprint(base)
    assert fingerprint({**base, TYPES: base[TYPES].T}) != fingerprint(base)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e12])
def test_values_that_cannot_be_stored(value: float) -> None:
    with pytest.raises(CheckpointError, match=r"^w: has a value that steps of 0\.02 do not reach$"):
        encode({"w": np.full((300, 300), value, np.float32)}, STEP)


def test_bytes_that_do_not_decode_to_the_tensors(base: Weights) -> None:
    packed = encode(base, STEP, base, "b")
    fewer = replace(packed, tensors=packed.tensors[:-1])
    bomb = replace(packed, packed=lzma.compress(bytes(1 << 26)))
    half = replace(packed, packed=packed.packed[: len(packed.packed) // 2])
    noise = replace(packed, packed=hashlib.sha256(b"").digest())
    for wrong in (fewer, bomb, half, noise):
        with pytest.raises(CheckpointError, match=r"^here: not the weights that the header beside it tells of \("):
            decode(wrong, base, "here")


def test_a_decompression_bomb_is_not_unpacked(base: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 5 bytes a weight are ever unpacked."""
    sizes = []
    packed = replace(encode({"w": base[TYPES]}, STEP), packed=lzma.compress(bytes(1 << 26)))
    monkeypatch.setattr(delta, "_from_bytes", lambda raw, count: sizes.append(len(raw)) or np.zeros(count, np.int64))
    decode(packed, None, "here")
    assert sizes == [5 * base[TYPES].size + 2]


def test_the_base_is_named(base: Weights) -> None:
    assert encode(base, STEP, base, "b").base == Reference("b", fingerprint(base))
