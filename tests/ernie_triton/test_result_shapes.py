"""The client's classes of answers are those of RESULT as the runtime defines it, kind by kind."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

import numpy as np
import pytest

from ernie_runtime.kinds import kind_names
from ernie_runtime.results import RESULTS, ErrorResult, Reading
from ernie_triton import TextError
from ernie_triton.results import CLASSES, numeric_outputs, parse_result

VECTORS = ("embedding", "pair_embedding", "token_embedding")
LEFT_OUT = {kind: {"dimension"} for kind in VECTORS}  # the client has the vectors themselves
RENAMED = {"fill_mask": {"token": "label"}}  # the client has one class for a name with its score
PLAIN: dict[type, Any] = {str: "明", int: 3, float: 0.5, bool: True}


def example(shape: Any) -> Any:
    """A value of this shape, its lists of two elements."""
    if is_typeddict(shape):
        return {name: example(hint) for name, hint in get_type_hints(shape).items()}
    if get_origin(shape) is list:
        return [example(get_args(shape)[0]) for _ in range(2)]
    return PLAIN[shape]


def as_raw(value: Any, skipped: set[str]) -> Any:
    """A parsed answer as a RESULT object again, without the fields `skipped`."""
    if is_dataclass(value):
        return {f.name: as_raw(getattr(value, f.name), set()) for f in fields(value) if f.name not in skipped}
    return [as_raw(element, set()) for element in value] if isinstance(value, tuple) else value


def renamed(value: Any, names: dict[str, str]) -> Any:
    """The value with these keys under other names."""
    if isinstance(value, dict):
        return {names.get(key, key): renamed(element, names) for key, element in value.items()}
    return [renamed(element, names) for element in value] if isinstance(value, list) else value


def test_every_kind_has_a_shape_and_a_class() -> None:
    assert set(RESULTS) == set(CLASSES) == set(kind_names())


@pytest.mark.parametrize("kind", sorted(RESULTS))
def test_client_and_runtime_agree(kind: str) -> None:
    raw = {**example(RESULTS[kind]), **example(Reading)}
    numeric = {name: np.zeros(2, np.float32) for name in numeric_outputs(kind)}
    result = parse_result(kind, raw, numeric)
    outputs = {f.name for f in fields(result) if "output" in f.metadata}
    expected = {key: value for key, value in raw.items() if key not in LEFT_OUT.get(kind, ())}
    assert as_raw(result, {"raw", "sent", *outputs}) == renamed(expected, RENAMED.get(kind, {}))


def test_a_text_without_an_answer() -> None:
    raw = TextError(3, "the text is empty").raw
    assert raw.keys() == get_type_hints(ErrorResult).keys()
    assert raw["error"].keys() == get_type_hints(get_type_hints(ErrorResult)["error"]).keys()
