"""Hostile weights: nothing in them runs, nothing outside of them is read, and one line says what they ask for."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders.checkpoints import pickled_weights
from ernie_builders.checkpoints.weight_formats import read_weights
from ernie_builders.errors import CheckpointError
from ernie_builders.training.state import load_parts

TENSOR = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}


class Call:
    """What a pickle calls when it is read."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def named(module: str, name: str, *arguments: bytes) -> bytes:
    """A pickle that calls a name with texts, without this process having it."""
    return f"c{module}\n{name}\n(".encode() + b"".join(b"V" + text + b"\n" for text in arguments) + b"tR."


def shapes(shape: Any, dtype: str = "f4", content: Any = b"\0" * 24) -> bytes:
    """numpy's pickle of an array with any shape, type and contents."""
    state = (1, shape, Call(np.dtype, dtype, False, True), False, content)
    array = pickle.dumps({"a": Placeholder(state)}, 2)
    return array


class Placeholder:
    def __init__(self, state: Any) -> None:
        self.state = state

    def __reduce__(self) -> Any:
        return np.core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), self.state  # type: ignore[attr-defined]


def torch_zip(path: Path, data: bytes, *, members: dict[str, bytes] | None = None, compression: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        for name, content in (members or {"archive/data/0": b"\0" * 24}).items():
            archive.writestr(name, content)
    return path


def torch_tensor(size: str, stride: str, offset: int = 0, count: int = 6) -> bytes:
    """data.pkl of one tensor, put together by hand."""
    storage = b"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI%d\ntQ" % count
    return (
        b"(dVa\nctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + f"I{offset}\n({size}t({stride}tI00\nccollections\nOrderedDict\n(tRtRs.".encode()
    )


RUNS = {
    "os.system": named("os", "system", b"touch RAN"),
    "posix.system": named("posix", "system", b"touch RAN"),
    "subprocess": named("subprocess", "getoutput", b"touch RAN"),
    "exec": named("builtins", "exec", b"open('RAN', 'w')"),
    "eval": named("builtins", "eval", b"open('RAN', 'w')"),
    "getattr": named("builtins", "getattr", b"os", b"system"),
    "import": named("builtins", "__import__", b"os"),
    "numpy's own loader": named("numpy", "load", b"RAN"),
    "numpy's test runner": named("numpy.testing._private.utils", "runstring", b"open('RAN', 'w')", b"{}"),
    "dotted": b"\x80\x04\x8c\x08builtins\x8c\x10str.__class__.mro\x93(t R.".replace(b" ", b""),
    "torch's loader": named("torch", "load", b"RAN"),
    "an attribute of ours": b"cbuiltins\neval\n(dV__call__\nI1\nsb.",
    "a storage changed": b"ctorch\nFloatStorage\n(dVdtype\nV<i8\nsb.",
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("suffix", ["pdparams", "bin"])
def test_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, suffix: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ("model_state.pdparams" if suffix == "pdparams" else "pytorch_model.bin")
    if suffix == "pdparams":
        path.write_bytes(RUNS[name])
    else:
        torch_zip(path, RUNS[name])
    with pytest.raises(CheckpointError) as refused:
        read_weights(path)
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)
    assert not (tmp_path / "RAN").exists()
    assert pickled_weights.STORAGES["FloatStorage"] == "<f4"


ARRAYS = {
    "negative": shapes((-1, 6)),
    "larger than its contents": shapes((10**12,)),
    "no tuple": shapes("12"),
    "objects": shapes((1,), "O8", [Call(os.getpid)]),
    "an unknown type": shapes((1,), "V99999"),
    "contents that are no bytes": shapes((1,), "f4", [1.0]),
    "not filled": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR.",
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_lie(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model_state.pdparams"
    path.write_bytes(ARRAYS[name])
    with pytest.raises(CheckpointError):
        read_weights(path)


TENSORS = {
    "beyond its storage": torch_tensor("I7\n", "I1\n"),
    "beyond it by strides": torch_tensor("I2\nI2\n", "I5\nI1\n"),
    "beyond it by its offset": torch_tensor("I2\n", "I1\n", offset=5),
    "before it": torch_tensor("I2\n", "I1\n", offset=-3),
    "a negative stride": torch_tensor("I2\n", "I-1\n", offset=3),
    "terabytes of one number": torch_tensor("I1000000\nI1000000\n", "I0\nI0\n"),
    "a storage that is longer than its file": torch_tensor("I7\n", "I1\n", count=7),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_lie(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError):
        read_weights(torch_zip(tmp_path / "pytorch_model.bin", TENSORS[name]))


def test_a_tensor_that_does_not_lie_is_read(tmp_path: Path) -> None:
    content = {"archive/data/0": np.arange(6, dtype="<f4").tobytes()}
    path = torch_zip(tmp_path / "pytorch_model.bin", torch_tensor("I2\nI2\n", "I1\nI2\n", offset=1), members=content)
    assert read_weights(path)["a"].tolist() == [[1, 3], [2, 4]]


def test_a_zip_file_that_is_larger_inside(tmp_path: Path) -> None:
    bomb = {"archive/data/0": b"\0" * 50_000_000}
    data = torch_tensor("I6\n", "I1\n", count=12_500_000)
    with pytest.raises(CheckpointError, match="members are larger than the file"):
        read_weights(torch_zip(tmp_path / "pytorch_model.bin", data, members=bomb, compression=zipfile.ZIP_DEFLATED))


def test_members_outside_of_the_zip_file_are_not_read(tmp_path: Path) -> None:
    data = torch_tensor("I6\n", "I1\n").replace(b"V0\n", b"V../../secret\n")
    with pytest.raises(CheckpointError):
        read_weights(torch_zip(tmp_path / "pytorch_model.bin", data))


def test_memory_reserved_without_end(tmp_path: Path) -> None:
    path = tmp_path / "model_state.pdparams"
    path.write_bytes(b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b".")
    with pytest.raises(CheckpointError, match="reserves memory without end"):
        read_weights(path)


def test_a_training_state_runs_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pdparams").write_bytes(RUNS["os.system"])
    with pytest.raises(CheckpointError, match=r"asks for os\.system"):
        load_parts(tmp_path, {"model.pdparams": object()})  # type: ignore[dict-item]
    assert not (tmp_path / "RAN").exists()


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_what_paddle_writes_is_read_as_paddle_reads_it(tmp_path: Path, protocol: int) -> None:
    import paddle

    layer = paddle.nn.Linear(3, 2)
    optimizer = paddle.optimizer.AdamW(parameters=layer.parameters())
    layer(paddle.ones([1, 3])).sum().backward()
    optimizer.step()
    for name, state in (("model.pdparams", layer.state_dict()), ("state.pdopt", optimizer.state_dict())):
        paddle.save(state, str(tmp_path / name), protocol=protocol)
        expected = paddle.load(str(tmp_path / name), return_numpy=True)
        read = pickled_weights.read_paddle(tmp_path / name)
        assert flat(read).keys() == flat(expected).keys()
        for key, value in flat(expected).items():
            assert np.array_equal(flat(read)[key], value), key


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {key: each for name, inner in value.items() for key, each in flat(inner, f"{prefix}/{name}").items()}


def test_ordinary_pickles_of_numpy_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model_state.pdparams"
    for protocol in (0, 1, 2, 3, 4):
        file = io.BytesIO()
        pickle.Pickler(file, protocol).dump(OrderedDict(TENSOR))
        path.write_bytes(file.getvalue())
        assert np.array_equal(read_weights(path)["a"], TENSOR["a"])
