"""Dataclasses from what TOML holds, with one clear line for what does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from ernie_runtime.errors import ManifestError

from ..errors import ConfigError

TOML_NAMES = {
    "Mapping[str, Any]": "a table",
    "Mapping[str, str]": "a table of strings",
    "tuple[str, ...]": "a list of strings",
}

T = TypeVar("T")


def typed(cls: type[T], raw: Any, where: str) -> T:
    """`cls(**raw)` with one clear line for an unknown field, a missing one or a wrong type."""
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where}: expected a table")
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    for name, value in raw.items():
        if name not in known:
            raise ConfigError(f"{where}: unknown field {name!r}; known are {', '.join(known)}")
        wanted = str(known[name].type)
        wrong = {
            "str": not isinstance(value, str),
            "int": not isinstance(value, int) or isinstance(value, bool),
            "float": not isinstance(value, (int, float)) or isinstance(value, bool),
            "bool": not isinstance(value, bool),
            "Mapping[str, Any]": not isinstance(value, Mapping),
            "Mapping[str, str]": not isinstance(value, Mapping) or not are_strings(value.values()),
            "tuple[str, ...]": not isinstance(value, tuple) or not are_strings(value),
        }.get(wanted, False)
        if wrong:
            raise ConfigError(f"{where}.{name}: expected {TOML_NAMES.get(wanted, wanted)}, found {value!r}")
    try:
        return cls(**raw)
    except TypeError as error:
        raise ConfigError(f"{where}: {str(error).replace('__init__() ', '')}") from None
    except (ManifestError, ConfigError) as error:
        raise ConfigError(f"{where}: {error}") from None


def are_strings(values: Iterable[Any]) -> bool:
    """Whether all are."""
    return all(isinstance(value, str) for value in values)
