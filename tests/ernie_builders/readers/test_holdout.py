"""The training rows that are held out to choose by."""

from __future__ import annotations

from collections import Counter

import pytest

from ernie_builders.readers import Example
from ernie_builders.readers.files.holdout import FEWEST, hold_out


def rows(count: int) -> list[Example]:
    """One row in ten is rare."""
    return [Example((f"text {i}",), "rare" if i % 10 == 0 else "common", i) for i in range(count)]


def test_a_tenth_at_most_each_label_with_its_share() -> None:
    examples = rows(1000)
    train, held_out = hold_out(examples, 5000, seed=0)
    assert (len(train), len(held_out)) == (900, 100)
    assert sorted(e.line for e in train + held_out) == list(range(1000))
    assert [e.line for e in train] == sorted(e.line for e in train)
    assert Counter(e.target for e in held_out) == {"common": 90, "rare": 10}
    assert len(hold_out(examples, 50, seed=0, fewest=50)[1]) == 50


def test_the_seed_decides() -> None:
    examples = rows(1000)
    assert hold_out(examples, 100, seed=1) == hold_out(examples, 100, seed=1)
    assert hold_out(examples, 100, seed=1) != hold_out(examples, 100, seed=2)


@pytest.mark.parametrize("count", [0, 1, 10 * FEWEST - 1])
def test_few_rows_are_all_trained_on(count: int) -> None:
    assert hold_out(rows(count), 1000, seed=0) == (rows(count), [])
    assert hold_out(rows(1000), FEWEST - 1, seed=0)[1] == []


def test_rows_with_the_same_long_text_stay_together() -> None:
    questions = [
        Example((f"question {i}", f"a context of several words {i // 5}"), {"answers": []}, i) for i in range(1000)
    ]
    train, held_out = hold_out(questions, 100, seed=0)
    assert len(held_out) == 100
    assert not {e.texts[1] for e in train} & {e.texts[1] for e in held_out}
    duplicates = [Example((f"text {i % 500}",), str(i % 2), i) for i in range(1000)]
    train, held_out = hold_out(duplicates, 100, seed=0)
    assert not {e.texts for e in train} & {e.texts for e in held_out}


def test_rows_of_a_group_stay_together_also_through_a_text() -> None:
    def row(i: int, group: str) -> Example:
        return Example(("hello",) if i in (0, 500) else (f"text {i}",), str(i % 2), i, group)

    examples = [row(i, f"session {i // 10}" if i < 900 else "") for i in range(1000)]
    train, held_out = hold_out(examples, 100, seed=0)
    assert len(held_out) == 100
    assert not {e.group for e in train if e.group} & {e.group for e in held_out}
    assert len({e.line // 10 for e in train} & {0, 50}) in (0, 2)  # the sessions that share a text
    assert hold_out([row(i, str(i // 500)) for i in range(1000)], 100, seed=0)[1] == []
