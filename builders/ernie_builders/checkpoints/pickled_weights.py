"""Weights out of pickles, .pdparams and torch's .bin, without running what a pickle can name.

A pickle calls whatever it names. Here it finds stand-ins for tensors and containers and nothing else, and numpy's own
pickling never sees it: shapes and types are checked before an array is made. Neither Paddle nor torch is needed.

Formats: `paddle.save` writes a dict of arrays, or of (name, array); torch a zip file with data.pkl, whose tensors name
storages, which are members of the zip file.
"""

from __future__ import annotations

import math
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import CheckpointError

MOST_MEMOS = 10_000_000  # a pickle may ask for a table of any size
DTYPES = frozenset(("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"))
STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}
"""numpy's dtype of each; bfloat16 as its bits."""
SLICED = "UnpackBigParamInfor@@"
"""The key by which Paddle's protocols 2 and 3 tell of arrays above 4 GB."""
TABLE = "StructuredToParameterName@@"  # names of parameters, which Paddle's own reader leaves out, too
BUILTINS = ("builtins", "__builtin__")
NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")


class Refused(Exception):
    """What a pickle asks for is no part of weights."""


class _Dtype:
    """Stands for numpy.dtype."""

    def __init__(self, name: str, *_: object) -> None:
        if not isinstance(name, str) or name.lstrip("<>|=") not in DTYPES:
            raise Refused(f"it has an array of {name!r}")
        self.name, self.order = name.lstrip("<>|="), "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", "|", ">", "=") or state[2:5] != (None, None, None):
            raise Refused("it has an array of records")
        self.order = state[1]

    def numpy(self) -> np.dtype:
        """The dtype that it says."""
        return np.dtype(self.order + self.name)


class _Array:
    """Stands for numpy.ndarray."""

    value: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, is_fortran, content = state
        if not isinstance(dtype, _Dtype):
            raise Refused("it has an array without a type")
        data = content.encode("latin1") if isinstance(content, str) else content
        if not isinstance(data, bytes):
            raise Refused("it has an array of objects")
        self.value = np.frombuffer(data, dtype.numpy()).reshape(_sizes(shape), order="F" if is_fortran else "C")


class _Dict(dict[Any, Any]):
    """Stands for collections.OrderedDict; its attributes (torch's _metadata) are left out."""

    def __setstate__(self, state: object) -> None:
        pass


class _Shared:
    """What all pickles get, and none may change."""

    def __setstate__(self, state: object) -> None:
        raise Refused("it changes what it names")


class _Storage(_Shared):
    """The type of a torch storage."""

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)


class _Call(_Shared):
    """A function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


def _sizes(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise Refused(f"it has an array of the shape {shape!r:.80}")
    return shape


def _new_array(*_: object) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, data: Any) -> np.ndarray:
    content = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(content, dtype.numpy()).reshape(())


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise Refused(f"it has bytes in {encoding!r:.40}")
    return text.encode("latin1")


def _named(expression: object, names: Mapping[str, object]) -> object:
    """Stands for eval, with which Paddle writes some tensors: eval('data', {'data': array})."""
    if expression != "data" or set(names) != {"data"}:
        raise Refused(f"it has code to run: {expression!r:.80}")
    return names["data"]


def _rebuilt(storage: np.ndarray, offset: int, size: Any, stride: Any, *_: object) -> np.ndarray:
    """A tensor of torch: a view of its storage, which it must not leave."""
    shape, strides = _sizes(tuple(size)), _sizes(tuple(stride))
    last = offset + sum((count - 1) * step for count, step in zip(shape, strides, strict=True))
    if math.prod(shape) > storage.size or offset < 0 or (0 not in shape and last >= storage.size):
        raise Refused("it has a tensor that is larger than its storage")
    step = storage.itemsize
    view = np.lib.stride_tricks.as_strided(storage[offset:], shape, [each * step for each in strides])
    return np.ascontiguousarray(view).reshape(shape)


def _parameter(data: np.ndarray, *_: object) -> np.ndarray:
    return data


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Dict,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Call(_encode),
    ("torch._utils", "_rebuild_tensor"): _Call(_rebuilt),
    ("torch._utils", "_rebuild_tensor_v2"): _Call(_rebuilt),
    ("torch._utils", "_rebuild_parameter"): _Call(_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): _Call(_parameter),
    **{(module, "_reconstruct"): _Call(_new_array) for module in NUMPY},
    **{(module, "scalar"): _Call(_scalar) for module in NUMPY},
    **{(module, "eval"): _Call(_named) for module in BUILTINS},
    **{(module, kind.__name__): kind for module in BUILTINS for kind in (tuple, list, dict, set)},
    **{("torch", name): _Storage(dtype) for name, dtype in STORAGES.items()},
    **{("torch.storage", name): _Storage(dtype) for name, dtype in STORAGES.items()},
}


class _Unpickler(pickle.Unpickler):
    """storage: gives a torch storage by its persistent id."""

    def __init__(self, file: IO[bytes], encoding: str, storage: Callable[[Any], np.ndarray] | None = None) -> None:
        super().__init__(file, encoding=encoding)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise Refused(f"it asks for {module}.{name}, which is no part of weights") from None

    def persistent_load(self, pid: Any) -> Any:
        if self._storage is None:
            raise Refused("it asks for something outside of it")
        return self._storage(pid)


def read_paddle(path: Path) -> Any:
    """What `paddle.save` wrote: dicts and lists of arrays, numbers and texts. CheckpointError says what it asks for."""
    try:
        with path.open("rb") as file:
            _check_memos(file)
            file.seek(0)
            value = _plain(_Unpickler(file, "latin1").load())
        if isinstance(value, dict) and SLICED in value:
            raise Refused("its arrays are in slices; save it again with protocol=4")
        if isinstance(value, dict):
            value.pop(TABLE, None)
        return value
    except Refused as refused:
        raise CheckpointError(f"{path}: not read, {refused}") from None


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """The tensors of torch's .bin, bfloat16 as its bits (uint16). CheckpointError names what it asks for."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_torch(archive, path.stat().st_size)
    except Refused as refused:
        raise CheckpointError(f"{path}: not read, {refused}") from None


def _read_torch(archive: zipfile.ZipFile, size: int) -> dict[str, np.ndarray]:
    names = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(names) != 1:
        raise Refused("it is no zip file of torch, which has one data.pkl")
    if sum(member.file_size for member in archive.infolist()) > size:
        raise Refused("its members are larger than the file: torch does not compress them")
    prefix = names[0].removesuffix("/data.pkl")
    if f"{prefix}/byteorder" in archive.namelist() and archive.read(f"{prefix}/byteorder") != b"little":
        raise Refused("its numbers are big-endian")
    storages: dict[str, np.ndarray] = {}

    def storage(pid: Any) -> np.ndarray:
        kind, storage_type, key, _, count = pid
        if kind != "storage" or not isinstance(storage_type, _Storage) or not isinstance(count, int):
            raise Refused(f"it asks for a {kind!r:.40}")
        if key not in storages:
            storages[key] = np.frombuffer(archive.read(f"{prefix}/data/{key}"), storage_type.dtype, max(count, 0))
        return storages[key]

    with archive.open(names[0]) as file:
        _check_memos(file)
    with archive.open(names[0]) as file:
        state = _Unpickler(file, "utf-8", storage).load()
    tensors = {str(name): value for name, value in state.items()} if isinstance(state, dict) else {}
    if not tensors or not all(isinstance(value, np.ndarray) for value in tensors.values()):
        raise Refused("it is no dict of tensors (a training's state? save model.state_dict() alone)")
    return tensors


def _check_memos(file: IO[bytes]) -> None:
    """Refused where a pickle would make its reader reserve memory without end."""
    for operation, argument, _ in pickletools.genops(file):
        if operation.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > MOST_MEMOS:
            raise Refused("it reserves memory without end")


def _plain(value: Any) -> Any:
    """With numpy's arrays for their stand-ins. Paddle writes tensors of layers as (name, array)."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], _Array):
        return value[1].value
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(each) for each in value)
    if isinstance(value, (_Dtype, _Shared)) or callable(value):
        raise Refused(f"it has a {type(value).__name__} where an array should be")
    return value
