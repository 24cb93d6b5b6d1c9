"""Weights from every kind of directory arrive exactly, or are refused by one line."""

from __future__ import annotations

import json
import math
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from builders.errors import CheckpointError
from builders.framework import import_paddle
from builders.kinds import get_builder_kind
from builders.models import build_model
from builders.weight_files import from_hugging_face, read_weights
from builders.weights import Checkpoint, read_checkpoint, write_checkpoint

from .conftest import (
    CONFIG,
    ENTRIES,
    HEADS,
    HIDDEN,
    LAYERS,
    Weights,
    manifest_with,
    random_hugging_face,
    write_hugging_face,
)

LABELS = 3


def hugging_face_forward(
    weights: Weights, ids: np.ndarray, types_: np.ndarray, epsilon: float, task_id: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Hugging Face's ErnieModel as documented, in float64: hidden states [B, L, H], pooled [B, H]."""
    w = {name.removeprefix("ernie."): value.astype(np.float64) for name, value in weights.items()}

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
        return centred / spread * w[f"{name}.weight"] + w[f"{name}.bias"]

    gelu = np.vectorize(lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))))
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][types_]
    x = x + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
    if task_id:
        x = x + w["embeddings.task_type_embeddings.weight"][0]
    x = norm(x, "embeddings.LayerNorm")
    masked = np.where(ids != 0, 0.0, -1e30)[:, None, None, :]

    def heads(y: np.ndarray) -> np.ndarray:
        return y.reshape(*y.shape[:2], HEADS, HIDDEN // HEADS).transpose(0, 2, 1, 3)

    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        q, k, v = (heads(linear(x, f"{at}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = q @ k.transpose(0, 1, 3, 2) / math.sqrt(HIDDEN // HEADS) + masked
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        context = (scores / scores.sum(-1, keepdims=True)) @ v
        context = context.transpose(0, 2, 1, 3).reshape(x.shape)
        x = norm(linear(context, f"{at}.attention.output.dense") + x, f"{at}.attention.output.LayerNorm")
        inner = gelu(linear(x, f"{at}.intermediate.dense"))
        x = norm(linear(inner, f"{at}.output.dense") + x, f"{at}.output.LayerNorm")
    return x, np.tanh(linear(x[:, 0], "pooler.dense"))


class Storage:
    """What torch pickles by a persistent id."""

    def __init__(self, kind: type, key: str, size: int) -> None:
        self.id = ("storage", kind, key, "cpu", size)


def write_torch(
    path: Path, tensors: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch, storage: str = "FloatStorage"
) -> None:
    """torch.save's zip file without torch: stand-ins for the classes that its pickle names.

    Every second matrix is a transposed view, all vectors lie in one storage, and the pooler is a Parameter.
    """
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    kind = type(storage, (), {"__module__": "torch"})

    def _rebuild_tensor_v2(*arguments: Any) -> None:
        raise AssertionError("only pickled by name")

    def _rebuild_parameter(*arguments: Any) -> None:
        raise AssertionError("only pickled by name")

    for function in (_rebuild_tensor_v2, _rebuild_parameter):
        function.__module__, function.__qualname__ = "torch._utils", function.__name__
        setattr(utils, function.__name__, function)
    setattr(torch, storage, kind)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Call:
        def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
            self.call = (function, arguments)

        def __reduce__(self) -> tuple[Callable[..., None], tuple[Any, ...]]:
            return self.call

    class Pickler(pickle.Pickler):
        def persistent_id(self, item: Any) -> Any:
            return item.id if isinstance(item, Storage) else None

    state: OrderedDict[str, Any] = OrderedDict()
    shared = np.concatenate([v for v in tensors.values() if v.ndim == 1])
    contents, offset = {"0": shared.tobytes()}, 0
    for number, (name, value) in enumerate(tensors.items(), 1):
        if value.ndim == 1:
            place: tuple[Any, ...] = (Storage(kind, "0", shared.size), offset, value.shape, (1,))
            offset += value.size
        else:
            turned = number % 2 == 0
            contents[str(number)] = (value.T if turned else value).tobytes()
            strides = (1, value.shape[0]) if turned else (value.shape[1], 1)
            place = (Storage(kind, str(number), value.size), 0, value.shape, strides)
        tensor = Call(_rebuild_tensor_v2, *place, False, OrderedDict())
        state[name] = Call(_rebuild_parameter, tensor, True, OrderedDict()) if "pooler" in name else tensor
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("archive/data.pkl", "w") as file:
            Pickler(file, 2).dump(state)
        archive.writestr("archive/version", "3\n")
        for key, content in contents.items():
            archive.writestr(f"archive/data/{key}", content)
    for name in ("torch", "torch._utils"):
        monkeypatch.delitem(sys.modules, name)


def bfloat16_bits(value: np.ndarray) -> np.ndarray:
    """The upper half of each float32."""
    return (np.ascontiguousarray(value).view(np.uint32) >> 16).astype(np.uint16)


def write_bfloat16_safetensors(path: Path, weights: Weights) -> None:
    """A safetensors file as torch writes it; safetensors' numpy side cannot."""
    header, body = {}, b""
    for name, value in weights.items():
        bits = bfloat16_bits(value).tobytes()
        header[name] = {
            "dtype": "BF16",
            "shape": list(value.shape),
            "data_offsets": [len(body), len(body) + len(bits)],
        }
        body += bits
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


@pytest.fixture
def folder(tmp_path: Path, vocabulary: Path) -> Path:
    """A directory with a configuration and a vocabulary, and no weights yet."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (tmp_path / "vocab.txt").write_bytes(vocabulary.read_bytes())
    return tmp_path


def assert_same(found: Weights, expected: Weights) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("form", ["safetensors", "bin"])
@pytest.mark.parametrize("task_id", [True, False])
@pytest.mark.parametrize("epsilon", [1e-12, 1e-5])
def test_hugging_face_is_exact(
    folder: Path, form: str, task_id: bool, epsilon: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {**CONFIG, "layer_norm_eps": epsilon, "use_task_id": task_id}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    weights = {f"ernie.{name}": value for name, value in random_hugging_face(config=config).items()}
    for name in weights:
        if "embeddings.weight" in name:
            weights[name] *= np.float32(0.01)  # so small that epsilon counts
    generator = np.random.default_rng(5)
    weights["classifier.weight"] = generator.standard_normal((LABELS, HIDDEN)).astype(np.float32)
    weights["classifier.bias"] = generator.standard_normal(LABELS).astype(np.float32)
    if form == "bin":
        write_torch(folder / "pytorch_model.bin", weights, monkeypatch)
    else:
        save_file(
            {**weights, "ernie.embeddings.position_ids": np.arange(64)[None]},
            str(folder / "model.safetensors"),
        )
    ids = generator.integers(5, ENTRIES, (3, 20))
    ids[1, 7:] = ids[2, 13:] = 0
    types_ = generator.integers(0, 4, ids.shape)

    paddle = import_paddle("cpu")
    model = build_model(get_builder_kind("sequence_classification"), read_checkpoint(folder), manifest_with(LABELS))
    model.eval()
    with paddle.no_grad():
        tensors = {"input_ids": paddle.to_tensor(ids), "token_type_ids": paddle.to_tensor(types_)}
        hidden, pooled = (tensor.numpy() for tensor in model.ernie(**tensors))
        logits = model(**tensors).numpy()

    expected, expected_pooled = hugging_face_forward(weights, ids, types_, epsilon, task_id)
    expected_logits = expected_pooled @ weights["classifier.weight"].T + weights["classifier.bias"]
    real = ids != 0
    worst = max(
        np.abs(hidden - expected)[real].max(),
        np.abs(pooled - expected_pooled).max(),
        np.abs(logits - expected_logits).max(),
    )
    assert worst <= 1e-5
    other = hugging_face_forward(weights, ids, types_, 1e-5 if epsilon < 1e-6 else 1e-12, task_id)[0]
    assert np.abs(other - expected)[real].max() > 1e-3, "a wrong epsilon would not be seen"


def test_torch_half_precision(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = random_hugging_face()
    half = {name: value.astype(np.float16) for name, value in weights.items()}
    write_torch(folder / "pytorch_model.bin", half, monkeypatch, "HalfStorage")
    as_float = {name: value.astype(np.float32) for name, value in half.items()}
    assert_same(read_checkpoint(folder).weights, from_hugging_face(as_float))


@pytest.mark.parametrize("form", ["bin", "safetensors", "pdparams"])
def test_bfloat16(folder: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = random_hugging_face()
    bits = {name: bfloat16_bits(value) for name, value in weights.items()}
    rounded = {name: (value.astype(np.uint32) << 16).view(np.float32) for name, value in bits.items()}
    if form == "bin":
        write_torch(folder / "pytorch_model.bin", bits, monkeypatch, "BFloat16Storage")
    elif form == "safetensors":
        write_bfloat16_safetensors(folder / "model.safetensors", weights)
    else:
        paddle = import_paddle("cpu")
        state = {name: paddle.to_tensor(value).astype("bfloat16") for name, value in from_hugging_face(rounded).items()}
        paddle.save(state, str(folder / "model_state.pdparams"))
    assert_same(read_checkpoint(folder).weights, from_hugging_face(rounded))


def test_float16_safetensors(folder: Path) -> None:
    half = {name: value.astype(np.float16) for name, value in random_hugging_face().items()}
    save_file(half, str(folder / "model.safetensors"))
    expected = from_hugging_face({name: value.astype(np.float32) for name, value in half.items()})
    assert_same(read_checkpoint(folder).weights, expected)


@pytest.mark.parametrize("bare", [True, False], ids=["ErnieModel", "task model"])
def test_paddlenlp_directory(folder: Path, bare: bool) -> None:
    weights = from_hugging_face(random_hugging_face())
    paddle = import_paddle("cpu")
    state = {name.removeprefix("ernie.") if bare else name: paddle.to_tensor(value) for name, value in weights.items()}
    paddle.save(state, str(folder / "model_state.pdparams"))
    modern = read_checkpoint(folder)
    assert_same(modern.weights, weights)
    assert modern.config["layer_norm_eps"] == 1e-12
    assert not modern.has_head

    (folder / "config.json").unlink()
    inner = {**CONFIG, "init_class": "ErnieModel"}
    old = {
        "init_args": [{"init_args": [inner], "init_class": "ErnieModel"}, 3],
        "init_class": "ErnieForSequenceClassification",
    }
    (folder / "model_config.json").write_text(json.dumps(old), encoding="utf-8")
    older = read_checkpoint(folder)
    assert_same(older.weights, weights)
    assert older.config == modern.config


@pytest.mark.parametrize(("bits", "error", "share"), [(32, 0, 1.0), (16, 1e-3, 0.5)])
def test_one_loader_reads_all_storages(tmp_path: Path, vocabulary: Path, bits: int, error: float, share: float) -> None:
    weights = from_hugging_face(random_hugging_face())
    write_checkpoint(tmp_path / "c", CONFIG, weights, vocabulary, bits)
    found = read_checkpoint(tmp_path / "c")
    assert found.weights.keys() == weights.keys()
    for name, value in weights.items():
        assert found.weights[name].dtype == np.float32
        np.testing.assert_allclose(found.weights[name], value, atol=error * float(np.abs(value).max()), rtol=0)
    size = (tmp_path / "c" / "model.safetensors").stat().st_size
    assert size < 1.2 * share * sum(value.nbytes for value in weights.values())


def test_no_downloaded_name_reaches_the_network(monkeypatch: pytest.MonkeyPatch, base_model: Path) -> None:
    """A PaddleNLP name goes through PaddleNLP; what comes back is like a local directory."""
    from builders import models

    transformers = models.import_paddlenlp()
    local = read_checkpoint(base_model)
    config = transformers.ErnieConfig(**{k: v for k, v in local.config.items() if k != "layer_norm_eps"})
    model = transformers.ErnieModel(config)
    fake = types.SimpleNamespace(
        ErnieModel=types.SimpleNamespace(from_pretrained=lambda name: model),
        ErnieTokenizer=types.SimpleNamespace(
            from_pretrained=lambda name: transformers.ErnieTokenizer(str(base_model / "vocab.txt"))
        ),
    )
    monkeypatch.setattr(models, "import_paddlenlp", lambda: fake)
    found = models.find_base_model("ernie-3.0-nano-zh")
    monkeypatch.undo()
    assert isinstance(found, Checkpoint)
    assert found.vocabulary.read_bytes() == local.vocabulary.read_bytes()
    assert found.weights.keys() == local.weights.keys()
    assert (
        build_model(get_builder_kind("sequence_classification"), found, manifest_with(LABELS), dropout=0.1) is not None
    )


def break_file(folder: Path, name: str, content: bytes) -> None:
    for path in folder.iterdir():
        if path.suffix in (".safetensors", ".bin", ".pdparams"):
            path.unlink()
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("model.safetensors", b"not weights", "model.safetensors: cannot be read as weights"),
        ("model.safetensors", b"", "model.safetensors: cannot be read as weights"),
        ("pytorch_model.bin", b"not a zip file", "pytorch_model.bin: cannot be read as weights"),
        ("model_state.pdparams", b"not a pickle", "model_state.pdparams: cannot be read as weights"),
        ("config.json", b"{", "config.json: not JSON"),
        ("config.json", b"[1]", "config.json: expected a JSON object"),
        ("config.json", b"{}", "config.json: has no vocab_size, hidden_size"),
        (
            "vocab.txt",
            b"[PAD]\n" * (ENTRIES + 1),
            f"vocab.txt: {ENTRIES + 1} entries, but the word embeddings have {ENTRIES} rows",
        ),
    ],
)
def test_broken_files(tmp_path: Path, vocabulary: Path, name: str, content: bytes, says: str) -> None:
    folder = write_hugging_face(tmp_path / "model", random_hugging_face(), CONFIG, vocabulary)
    read_checkpoint(folder)
    if name.endswith((".json", ".txt")):
        (folder / name).write_bytes(content)
    else:
        break_file(folder, name, content)
    with pytest.raises(CheckpointError) as raised:
        read_checkpoint(folder)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"num_attention_heads": 5},
            "hidden_size is 32, expected a whole number above 0 that num_attention_heads (5) divides",
        ),
        ({"num_hidden_layers": "two"}, "num_hidden_layers is 'two', expected a whole number above 0"),
    ],
)
def test_broken_config(tmp_path: Path, vocabulary: Path, change: dict[str, Any], says: str) -> None:
    folder = write_hugging_face(tmp_path / "model", random_hugging_face(), {**CONFIG, **change}, vocabulary)
    with pytest.raises(CheckpointError) as raised:
        read_checkpoint(folder)
    assert says in str(raised.value)


def test_spare_embedding_rows_are_fine(tmp_path: Path, vocabulary: Path) -> None:
    entries = vocabulary.read_text(encoding="utf-8").splitlines()
    fewer = tmp_path / "vocab.txt"
    fewer.write_text("\n".join(entries[:-20]), encoding="utf-8")
    folder = write_hugging_face(tmp_path / "model", random_hugging_face(), CONFIG, fewer)
    assert len(read_checkpoint(folder).weights["ernie.embeddings.word_embeddings.weight"]) == ENTRIES


def test_foreign_weights(folder: Path) -> None:
    save_file({"layer.weight": np.zeros((2, 2), np.float32)}, str(folder / "model.safetensors"))
    with pytest.raises(CheckpointError, match=r"not an ERNIE encoder \(found layer\.weight, \.\.\.\)"):
        read_checkpoint(folder)
    save_file({"layer.weight": np.zeros((2, 2), np.int8)}, str(folder / "model.safetensors"))
    with pytest.raises(CheckpointError, match=r"layer\.weight is I8: save it as float32, float16 or bfloat16"):
        read_checkpoint(folder)
    save_file({"layer.weight": np.zeros((2, 2), np.uint32)}, str(folder / "model.safetensors"))
    with pytest.raises(CheckpointError, match=r"layer\.weight is U32: save it as float32"):
        read_weights(folder / "model.safetensors")
