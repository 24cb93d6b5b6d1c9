"""Tables become dataclasses, nested ones too; a value that does not fit is reported with its full path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from ernie_builders.config.schema import parse_table
from ernie_builders.errors import ConfigError


@dataclass(frozen=True)
class Part:
    size: int
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"size is {self.size}")


@dataclass(frozen=True)
class Whole:
    part: Part
    parts: Mapping[str, Part] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    pairs: tuple[tuple[int, ...], ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    perhaps: Part | None = None


def test_nested_tables_and_lists() -> None:
    table = {
        "part": {"size": 1},
        "parts": {"a": {"size": 2, "share": 1}},
        "names": ["x", "y"],
        "pairs": [[1, 2], []],
        "more": {"anything": [1, "x"]},
        "perhaps": {"size": 3},
    }
    assert parse_table(Whole, table, "w") == Whole(
        Part(1), {"a": Part(2, 1)}, ("x", "y"), ((1, 2), ()), {"anything": [1, "x"]}, Part(3)
    )
    assert parse_table(Whole, {"part": Part(4)}, "w") == Whole(Part(4)), "what is converted already stays as it is"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (5, "w: expected a table"),
        ({}, "w: field 'part' is missing"),
        ({"part": {}}, "w.part: field 'size' is missing"),
        ({"part": {"size": 0}}, "w.part: size is 0"),
        ({"part": 5}, "w.part: expected a table"),
        ({"part": {"size": 1, "shape": 2}}, "w.part: unknown field 'shape'; known are size, share"),
        ({"part": {"size": True}}, "w.part.size: expected int, found True"),
        ({"part": {"size": 1, "share": False}}, "w.part.share: expected float, found False"),
        ({"part": {"size": 1}, "parts": []}, "w.parts: expected a table of tables, found []"),
        ({"part": {"size": 1}, "parts": {"a": {"size": "2"}}}, "w.parts.a.size: expected int, found '2'"),
        ({"part": {"size": 1}, "names": ["x", 5]}, "w.names: expected a list of strings, found ['x', 5]"),
        ({"part": {"size": 1}, "names": "x"}, "w.names: expected a list of strings, found 'x'"),
        ({"part": {"size": 1}, "pairs": [[1], ["2"]]}, "w.pairs.1: expected a list of values, found ['2']"),
        ({"part": {"size": 1}, "more": [1]}, "w.more: expected a table, found [1]"),
        ({"part": {"size": 1}, "perhaps": {"size": "3"}}, "w.perhaps.size: expected int, found '3'"),
    ],
)
def test_values_that_do_not_fit(table: Any, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_table(Whole, table, "w")
    assert str(raised.value) == message
