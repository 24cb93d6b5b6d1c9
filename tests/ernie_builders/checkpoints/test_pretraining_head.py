"""The pre-training head, in whichever file of a model directory it is, and faulty heads."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.checkpoints.pretraining_head import FILE, with_pretraining_head
from ernie_builders.errors import CheckpointError
from ernie_builders.kinds import get_builder_kind
from ernie_builders.modeling.model import build_model, find_base_model

from ..tiny import CONFIG, ENTRIES, HIDDEN, manifest_with, random_hugging_face, write_hugging_face

KIND = get_builder_kind("fill_mask")
Weights = dict[str, np.ndarray]


def random_head(seed: int = 5) -> Weights:
    """A head as Hugging Face's ErnieForMaskedLM has it, under the names of its module `cls`."""
    generator = np.random.default_rng(seed)

    def draw(*shape: int, around: float = 0.0) -> np.ndarray:
        return (around + 0.3 * generator.standard_normal(shape)).astype(np.float32)

    bias = draw(ENTRIES)
    return {
        "predictions.bias": bias,
        "predictions.decoder.bias": bias,
        "predictions.transform.dense.weight": draw(HIDDEN, HIDDEN),
        "predictions.transform.dense.bias": draw(HIDDEN),
        "predictions.transform.LayerNorm.weight": draw(HIDDEN, around=1.0),
        "predictions.transform.LayerNorm.bias": draw(HIDDEN),
    }


def paddle_head(head: Weights) -> Weights:
    """The same as PaddleNLP's ErnieForMaskedLM names and stores it."""
    return {
        "cls.predictions.transform.weight": head["predictions.transform.dense.weight"].T.copy(),
        "cls.predictions.transform.bias": head["predictions.transform.dense.bias"],
        "cls.predictions.layer_norm.weight": head["predictions.transform.LayerNorm.weight"],
        "cls.predictions.layer_norm.bias": head["predictions.transform.LayerNorm.bias"],
        "cls.predictions.decoder_bias": head["predictions.bias"],
    }


@pytest.fixture
def encoder() -> Weights:
    return random_hugging_face(seed=2)


@pytest.fixture(params=["file", "file of PaddleNLP names", "Hugging Face model", "PaddleNLP model"])
def directory(request: pytest.FixtureRequest, tmp_path: Path, vocabulary: Path, encoder: Weights) -> Path:
    """A model directory with the head, wherever such directories have it."""
    head, folder = random_head(), tmp_path / "model"
    if request.param.startswith("file"):
        write_hugging_face(folder, encoder, CONFIG, vocabulary)
        save_file(head if request.param == "file" else paddle_head(head), str(folder / FILE))
    elif request.param == "Hugging Face model":
        both = {f"ernie.{name}": value for name, value in encoder.items()}
        both |= {f"cls.{name}": value for name, value in head.items()}
        both["cls.predictions.decoder.weight"] = encoder["embeddings.word_embeddings.weight"].copy()
        write_hugging_face(folder, both, CONFIG, vocabulary)
    else:
        write_hugging_face(tmp_path / "bare", encoder, CONFIG, vocabulary)
        both = {**read_checkpoint(tmp_path / "bare").weights, **paddle_head(head)}
        both["cls.predictions.decoder.weight"] = both["ernie.embeddings.word_embeddings.weight"].copy()
        write_hugging_face(folder, both, CONFIG, vocabulary)
    return folder


def expected_scores(hidden: np.ndarray, table: np.ndarray, head: Weights) -> np.ndarray:
    """Hugging Face's head in numpy: dense [out, in], gelu, layer norm, tied decoder, softmax; float64 [L, entries]."""
    erf = np.vectorize(math.erf)
    inner = hidden @ head["predictions.transform.dense.weight"].T.astype(float)
    inner += head["predictions.transform.dense.bias"]
    inner = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
    inner = (inner - inner.mean(-1, keepdims=True)) / np.sqrt(inner.var(-1, keepdims=True) + 1e-12)
    inner = inner * head["predictions.transform.LayerNorm.weight"] + head["predictions.transform.LayerNorm.bias"]
    logits = inner @ table.T.astype(float) + head["predictions.bias"]
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    result: np.ndarray = powers / powers.sum(-1, keepdims=True)
    return result


@pytest.mark.parametrize("spare", [0, 7], ids=["full vocabulary", "spare rows"])
def test_the_head_computes_the_documented_scores(directory: Path, encoder: Weights, spare: int) -> None:
    import paddle

    used = ENTRIES - spare  # rows of the table behind the vocabulary are never an answer
    manifest = manifest_with(0, "fill_mask", vocabulary_size=used, options={"top_k": 3})
    model = build_model(KIND, KIND.prepare(read_checkpoint(directory)), manifest, ready=True)
    model.eval()
    ids = np.random.default_rng(0).integers(5, used, (2, 9))
    with paddle.no_grad():
        hidden = model.ernie(paddle.to_tensor(ids))[0].numpy().astype(float)
        outputs = {name: value.numpy() for name, value in KIND.outputs(model(paddle.to_tensor(ids))).items()}
    expected = expected_scores(
        hidden,
        encoder["embeddings.word_embeddings.weight"][:used],
        {name: value[:used] if len(value) == ENTRIES else value for name, value in random_head().items()},
    )
    assert outputs["top_scores"].shape == outputs["top_ids"].shape == (2, 9, 8)
    assert outputs["top_ids"].dtype == np.int64
    order = np.argsort(-expected, axis=-1)[..., :8]
    assert (outputs["top_ids"] == order).all()
    np.testing.assert_allclose(outputs["top_scores"], np.take_along_axis(expected, order, -1), atol=2e-5)


def test_faulty_pretraining_heads(tmp_path: Path, vocabulary: Path, encoder: Weights) -> None:
    bare = write_hugging_face(tmp_path / "bare", encoder, CONFIG, vocabulary)
    with pytest.raises(CheckpointError, match=r"bare: has no pre-training head \(cls.predictions.transform.weight"):
        KIND.prepare(read_checkpoint(bare))
    head = random_head()
    save_file({n: v for n, v in head.items() if not n.endswith("bias") or "decoder" in n}, str(bare / FILE))
    with pytest.raises(CheckpointError, match=r"no pre-training head \(cls.predictions.transform.bias"):
        KIND.prepare(read_checkpoint(bare))
    save_file(
        {**head, "predictions.bias": head["predictions.bias"][:-1]}
        | {"predictions.decoder.bias": head["predictions.bias"][:-1]},
        str(bare / FILE),
    )
    with pytest.raises(CheckpointError, match="head has 399 entries, the word embeddings 400: not this model's head"):
        KIND.prepare(read_checkpoint(bare))
    untied = {**read_checkpoint(bare).weights, **paddle_head(head)}
    untied["cls.predictions.decoder.weight"] = np.zeros((ENTRIES, HIDDEN), np.float32)
    folder = write_hugging_face(tmp_path / "untied", untied, CONFIG, vocabulary)
    with pytest.raises(CheckpointError, match=r"decoder.weight is not the table of word embeddings: not supported"):
        KIND.prepare(read_checkpoint(folder))


def test_other_kinds_take_only_the_encoder() -> None:
    """The head would change the keys of their finished fine-tuning stages."""
    base = find_base_model("embedded")
    assert get_builder_kind("sequence_classification").prepare(base) is base and not base.has_head
    assert with_pretraining_head(base).has_head
