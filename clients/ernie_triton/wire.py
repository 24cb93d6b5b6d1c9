"""Requests and answers as both of Triton's protocols carry them: tensors as bytes, and a reply for each text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ernie_runtime.json_types import Json
from ernie_runtime.names import EMBEDDINGS, RESULT

from .errors import ServerError
from .items import Row
from .replies import Reply

if TYPE_CHECKING:
    import numpy as np  # not at run time: importing this package needs no numpy

NUMBERS: Mapping[str, str] = {
    "BOOL": "?",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    **{f"INT{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
}
"""Triton's data types as numpy's."""


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """Rows to ask a model about. numeric: the outputs to return besides RESULT."""

    model: str
    inputs: Sequence[str]
    rows: Sequence[Row]
    most_rows: int = 1  # with which it may go to the server, others' included
    numeric: Sequence[str] = ()
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float  # seconds

    def tensors(self) -> list[bytes]:
        """The bytes of each input, BYTES [rows, 1]."""
        return [pack_texts(column) for column in zip(*self.rows, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An output as it arrived."""

    datatype: str
    shape: tuple[int, ...]
    data: bytes

    def numbers(self) -> np.ndarray:
        """As an array; ServerError where it is none."""
        import numpy as np  # only here: importing this package needs no numpy

        if self.datatype not in NUMBERS:
            raise ServerError(f"the server sent an output of type {self.datatype}, which holds no numbers")
        return np.frombuffer(self.data, NUMBERS[self.datatype]).reshape(self.shape)


def pack_texts(texts: Iterable[bytes]) -> bytes:
    """A BYTES tensor: each element after its length, little-endian, in four bytes."""
    return b"".join(part for text in texts for part in (len(text).to_bytes(4, "little"), text))


def unpack_texts(data: bytes) -> list[bytes]:
    """The elements of a BYTES tensor."""
    texts, start = [], 0
    while start < len(data):
        end = start + 4 + int.from_bytes(data[start : start + 4], "little")
        texts.append(data[start + 4 : end])
        start = end
    return texts


def read_replies(request: ModelRequest, outputs: Mapping[str, Tensor]) -> list[Reply]:
    """One reply per row; ServerError where the answer makes no sense."""
    try:
        raws = [json.loads(text) for text in unpack_texts(outputs[RESULT].data)]
        columns = {name: outputs[name].numbers() for name in request.numeric}
        if {len(raws), *map(len, columns.values())} != {len(request.rows)}:
            raise ServerError(f"model {request.model} did not return one answer per text")
        return [
            Reply(raw, {name: _real_rows(name, column[row], raw) for name, column in columns.items()})
            for row, raw in enumerate(raws)
        ]
    except KeyError as missing:
        raise ServerError(f"model {request.model} did not return {missing.args[0]}") from None
    except (ValueError, TypeError) as error:
        raise ServerError(f"the answer of model {request.model} cannot be read ({error})") from None


def _real_rows(name: str, values: np.ndarray, raw: Json) -> np.ndarray:
    """A numeric output without the rows that fill EMBEDDINGS up to the request's longest text."""
    return values[: len(raw.get("offsets", ()))] if name == EMBEDDINGS else values
