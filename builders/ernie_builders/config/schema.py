"""From a TOML table to a dataclass, with one clear line for each thing that does not fit.

pydantic would not be shorter: its error types have to be translated into these lines one by one, and it would lose the
path to errors that `__post_init__` raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ernie_runtime.errors import Faults as ManifestFaults
from ernie_runtime.errors import ManifestError

from ..errors import ConfigError

SCALARS = (str, int, float, bool)

T = TypeVar("T")


class SeveralFaultsError(ConfigError):
    """Faults that were found together; message: in place of the lines."""

    def __init__(self, lines: Sequence[str], message: str = "") -> None:
        super().__init__(message or "; ".join(lines))
        self.lines = lines


class Faults(ManifestFaults):
    """Collects what is wrong, so that all of it is reported at once."""

    caught = (ConfigError, ManifestError)

    def check(self) -> None:
        """ConfigError with everything that was collected, if anything was."""
        if self.lines:
            raise SeveralFaultsError(self.lines) if len(self.lines) > 1 else ConfigError(self.lines[0])


def parse_table(cls: type[T], table: object, where: str) -> T:
    """`cls` made from a table; nested dataclasses, `Mapping[str, ...]` and `tuple[..., ...]` are converted as well.

    ConfigError, beginning with `where`, for unknown fields, missing ones, wrong types, and what `cls` refuses: all of
    them at once.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: expected a table")
    types, known, faults = get_type_hints(cls), fields(cls), Faults()  # type: ignore[arg-type]
    names = [field.name for field in known]
    required = [field.name for field in known if field.default is MISSING and field.default_factory is MISSING]
    faults.lines += [
        f"{where}: unknown field {name!r}; known are {', '.join(names)}" for name in table if name not in names
    ]
    faults.lines += [f"{where}: field {name!r} is missing" for name in required if name not in table]
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name in names:
            with faults.collect():
                values[name] = _convert(types[name], value, f"{where}.{name}")
    if set(required) <= set(values):
        with faults.collect(where):
            result = cls(**values)
    faults.check()
    return result


def _convert(expected: Any, value: Any, where: str) -> Any:
    """The value as the type that a field is annotated with; ConfigError where it has another."""
    if get_origin(expected) in (Union, UnionType):  # `X | None`
        if value is None:  # of a dataclass whose fields are parsed again; TOML has no null
            return None
        expected = next(item for item in get_args(expected) if item is not NoneType)
    if is_dataclass(expected):
        return value if isinstance(value, expected) else parse_table(expected, value, where)  # type: ignore[arg-type]
    container, arguments = get_origin(expected), get_args(expected)
    if container is tuple and isinstance(value, (list, tuple)):
        items = list(enumerate(value))
    elif container is not None and container is not tuple and isinstance(value, Mapping):
        items = list(value.items())
    elif container is None and _is_scalar(expected, value):
        return value
    else:
        raise ConfigError(f"{where}: expected {_describe(expected)}, found {value!r}")
    item_type = arguments[0] if container is tuple else arguments[1]
    if item_type in SCALARS and not all(_is_scalar(item_type, item) for _, item in items):
        raise ConfigError(f"{where}: expected {_describe(expected)}, found {value!r}")
    converted, faults = {}, Faults()
    for key, item in items:
        with faults.collect():
            converted[key] = _convert(item_type, item, f"{where}.{key}")
    faults.check()
    return tuple(converted.values()) if container is tuple else converted


def _is_scalar(expected: Any, value: Any) -> bool:
    """Whether the value has a type of SCALARS, or any type where that is what is expected."""
    if expected is Any:
        return True
    if expected in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if expected is float else expected)


def _describe(expected: Any) -> str:
    """What people call a type: `a list of strings`."""
    container, arguments = get_origin(expected), get_args(expected)
    if container is None:
        return "a table" if is_dataclass(expected) else str(expected.__name__)
    name, item_type = ("a list", arguments[0]) if container is tuple else ("a table", arguments[1])
    if item_type is Any:
        return name
    return f"{name} of {'strings' if item_type is str else 'tables' if is_dataclass(item_type) else 'values'}"
