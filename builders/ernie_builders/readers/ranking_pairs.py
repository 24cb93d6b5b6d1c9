"""Ranking examples built from labelled pairs: the query's partner among texts drawn from the other pairs."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError, DataError
from . import Example
from .files.report import Report
from .pair_texts import pairs_of

SAME = "1"


def read(path: Path, columns: Mapping[str, str], split: str = "", report: Report | None = None) -> Iterator[Example]:
    """One example for each pair labelled 1; target: the index of the pair's second text among the candidates.

    columns: `pairs`, the format of the file (clue_json, labelled_tsv), and the columns of that format; `candidates`,
    the number of texts in a set (default 10); `drawn`, how many second texts of all pairs are drawn at random for a
    set (default 200); `seed` (default 0). The other candidates are those drawn texts that share most characters with
    the query: among other texts the right one would be obvious from its characters alone. None of them means the same
    as the query, as far as the labels show, directly or through other pairs, and no two are equal. The same file and
    seed give the same sets.
    """
    defaults = {"candidates": "10", "drawn": "200", "seed": "0"}
    size, drawn, seed = (_whole_number(columns.get(name, value), name) for name, value in defaults.items())
    if not 2 <= size <= drawn + 1:
        raise ConfigError(f"data.fields.candidates is {size}; a set has at least 2, and at most 1 more than are drawn")
    pairs = list(
        pairs_of(
            path, {name: value for name, value in columns.items() if name not in defaults}, split, report or Report()
        )
    )
    groups = MeaningGroups()
    for pair in pairs:
        if pair.target not in (SAME, "0"):
            raise DataError(f"{path}:{pair.line}: label {pair.target!r} is neither 0 nor 1")
        if pair.target == SAME:
            groups.join(*pair.texts)
    pool = {text: frozenset(text) for text in sorted({pair.texts[1] for pair in pairs if pair.texts[1].strip()})}
    for pair in _positives(pairs):
        # A generator for each query, so that its draw does not depend on the queries before it.
        generator = random.Random(f"{seed} {pair.texts}")
        distractors = _distractors(pool, groups, pair.texts[0], drawn, generator)[: size - 1]
        if len(distractors) < size - 1:
            raise DataError(
                f"{path}:{pair.line}: only {len(distractors)} texts of another meaning for {size - 1} candidates "
                "besides the right one: lower data.fields.candidates"
            )
        generator.shuffle(distractors)
        index = generator.randrange(size)
        candidates = [*distractors[:index], pair.texts[1], *distractors[index:]]
        yield Example((pair.texts[0], json.dumps(candidates, ensure_ascii=False)), [index], pair.line)


class MeaningGroups:
    """Groups of texts with the same meaning, as far as the pairs show (union-find)."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def representative(self, text: str) -> str:
        """The text that stands for the group of `text`."""
        while (parent := self.parent.get(text, text)) != text:
            text = parent
        return text

    def join(self, left: str, right: str) -> None:
        """Merge the groups of two texts."""
        self.parent[self.representative(left)] = self.representative(right)


def _whole_number(value: str, name: str) -> int:
    if not value.isdecimal():
        raise ConfigError(f"data.fields.{name} is {value!r}; it must be a whole number in quotes")
    return int(value)


def _positives(pairs: Sequence[Example]) -> Iterator[Example]:
    """The pairs labelled 1, each once; pairs of equal or blank texts are left out."""
    seen = set()
    for pair in pairs:
        if pair.target == SAME and pair.texts[0] != pair.texts[1] and all(map(str.strip, pair.texts)):
            if pair.texts not in seen:
                yield pair
            seen.add(pair.texts)


def _distractors(
    pool: Mapping[str, frozenset[str]], groups: MeaningGroups, query: str, count: int, generator: random.Random
) -> list[str]:
    """Of `count` drawn texts, those with another meaning than the query, those sharing most characters first."""
    query_group, characters = groups.representative(query), frozenset(query)
    texts = generator.sample(list(pool), min(count, len(pool)))

    def overlap(text: str) -> float:
        return len(characters & pool[text]) / len(characters | pool[text])

    distractors = (text for text in texts if groups.representative(text) != query_group)
    return sorted(distractors, key=overlap, reverse=True)
