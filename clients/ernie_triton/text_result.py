"""What every typed answer has: how its text was read, the RESULT object it came from, and one way to parse that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np  # not at run time: the help of the command line does without

Raw = Mapping[str, Any]
"""The RESULT object of one text, as the server sent it."""

_Result = TypeVar("_Result", bound="TextResult")


@dataclass(frozen=True, kw_only=True)
class TextResult:
    """Base of the answers. A subclass declares the fields of its kind, which `parse` fills.

    A field is the value under its name in RESULT; with the metadata of `made_by` or `each` what is made of that value,
    with that of `output` a numeric output. Subclasses are `@dataclass(frozen=True, repr=False)`: the repr here shows
    their own fields first.
    """

    tokens: int  # of the text, without special tokens
    windows: int  # pieces that the text was read in
    truncated: bool  # whether its end was not read
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    def __repr__(self) -> str:
        shown = sorted((one for one in fields(self) if one.repr), key=lambda one: one.kw_only is True)
        return f"{type(self).__name__}({', '.join(f'{one.name}={getattr(self, one.name)!r}' for one in shown)})"

    @classmethod
    def numeric(cls) -> tuple[str, ...]:
        """The numeric outputs that `parse` needs."""
        return tuple(one.metadata["output"] for one in fields(cls) if "output" in one.metadata)

    @classmethod
    def parse(cls: type[_Result], raw: Raw, numeric: Mapping[str, np.ndarray] | None = None) -> _Result:
        """From a RESULT object and numeric outputs; KeyError or TypeError where it is not of this shape."""
        values: dict[str, Any] = {"raw": raw}
        for one in fields(cls):
            if "output" in one.metadata:
                values[one.name] = (numeric or {})[one.metadata["output"]]
            elif one.name != "raw":
                make = one.metadata.get("make")
                values[one.name] = make(raw[one.name]) if make else raw[one.name]
        return cls(**values)


def output(name: str) -> Mapping[str, Any]:
    """Metadata of a field that is a numeric output."""
    return {"output": name}


def made_by(make: Callable[[Any], Any]) -> Mapping[str, Any]:
    """Metadata of a field that `make` makes of the value in RESULT."""
    return {"make": make}


def each(part: type) -> Mapping[str, Any]:
    """Metadata of a field that is a tuple of dataclasses; keys of the objects that the class lacks are left out."""
    names = [one.name for one in fields(part)]
    return made_by(lambda objects: tuple(part(**{name: one[name] for name in names}) for one in objects))
