"""The base classes of answers: as JSON and HTML; how the text was read, the RESULT object, and how that is parsed."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from .notebook import result_html

if TYPE_CHECKING:
    import numpy as np  # not at run time: importing this package needs no numpy

Raw = Mapping[str, Any]
"""The RESULT object of one text, as the server sent it."""

_Result = TypeVar("_Result", bound="TextResult")


class Answer(ABC):
    """Whatever stands in the place of a text: JSON, and HTML in notebooks."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """All of the answer, ready for JSON."""

    def to_json(self) -> str:
        """`to_dict` as JSON, on one line."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @abstractmethod
    def _repr_html_(self) -> str:
        """For notebooks."""


@dataclass(frozen=True, kw_only=True)
class TextResult(Answer):
    """Base of the answers. A subclass declares the fields of its kind, and `parse` fills them.

    A field holds the value of its name in RESULT; with the metadata of `made_by` or `each` it holds what these make of
    that value, with the metadata of `output` a numeric output. Subclasses are `@dataclass(frozen=True, repr=False)`:
    the repr of this class shows their own fields first.
    """

    tokens: int  # of the text, without special tokens
    windows: int  # that the text was cut into
    truncated: bool  # whether the end of the text was left out
    raw: Raw = field(default_factory=dict, repr=False, compare=False)
    sent: tuple[str, ...] = field(default=(), repr=False, compare=False)  # the texts as sent, one per input

    def __repr__(self) -> str:
        shown = sorted((f for f in fields(self) if f.repr), key=lambda f: f.kw_only is True)
        return f"{type(self).__name__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in shown)})"

    def to_dict(self) -> dict[str, Any]:
        """RESULT as the server sent it, and the vector or the vectors as lists."""
        return {**self.raw, **{name: vector.tolist() for name, vector in self._vectors().items()}}

    def _repr_html_(self) -> str:
        shown = [f"{name}: {' × '.join(map(str, vector.shape))} numbers" for name, vector in self._vectors().items()]
        return result_html(self.raw, self.sent, ", ".join(shown))

    def _vectors(self) -> dict[str, np.ndarray]:
        return {f.name: getattr(self, f.name) for f in fields(self) if "output" in f.metadata}

    @classmethod
    def numeric(cls) -> tuple[str, ...]:
        """The numeric outputs that `parse` needs."""
        return tuple(f.metadata["output"] for f in fields(cls) if "output" in f.metadata)

    @classmethod
    def parse(
        cls: type[_Result], raw: Raw, numeric: Mapping[str, np.ndarray] | None = None, sent: tuple[str, ...] = ()
    ) -> _Result:
        """From a RESULT object and numeric outputs; KeyError or TypeError where their shape is another."""
        values: dict[str, Any] = {"raw": raw, "sent": sent}
        for f in fields(cls):
            if "output" in f.metadata:
                values[f.name] = (numeric or {})[f.metadata["output"]]
            elif f.name not in values:
                make = f.metadata.get("make")
                values[f.name] = make(raw[f.name]) if make else raw[f.name]
        return cls(**values)


def output(name: str) -> Mapping[str, Any]:
    """Metadata of a field that holds a numeric output."""
    return {"output": name}


def made_by(make: Callable[[Any], Any]) -> Mapping[str, Any]:
    """Metadata of a field that holds `make` of the value in RESULT."""
    return {"make": make}


def each(part: type) -> Mapping[str, Any]:
    """Metadata of a field that holds a tuple of `part`, a dataclass; keys that `part` lacks are ignored."""
    names = [f.name for f in fields(part)]
    return made_by(lambda objects: tuple(part(**{name: raw[name] for name in names}) for raw in objects))
