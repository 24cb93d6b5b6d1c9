"""The base class of typed answers: how the text was read, the RESULT object, and how that is parsed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np  # not at run time: importing this package needs no numpy

Raw = Mapping[str, Any]
"""The RESULT object of one text, as the server sent it."""

_Result = TypeVar("_Result", bound="TextResult")


@dataclass(frozen=True, kw_only=True)
class TextResult:
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
