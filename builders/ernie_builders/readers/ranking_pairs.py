"""Sets of candidates built from labelled pairs: the query's partner among texts drawn from the other pairs."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError, DataError
from . import Example
from .pair_texts import pairs_of

SAME = "1"


def read(path: Path, columns: Mapping[str, str], split: str = "") -> Iterator[Example]:
    """One example for every two texts that the file labels 1; target: the index of the second among the candidates.

    columns: `pairs`, the format of the file (clue_json, labelled_tsv), and that format's own columns; `candidates`,
    how many texts a set has (10); `drawn`, how many second texts of all pairs are drawn at random for a set (200);
    `seed` (0). Of the drawn ones those with most characters in common with the query are the other candidates: among
    any others the right one is told by its characters alone. None of them means the same as the query, as far as the
    labels tell, directly or through other pairs, and no two are equal. The same file and seed give the same sets.
    """
    defaults = {"candidates": "10", "drawn": "200", "seed": "0"}
    size, drawn, seed = (_number(columns.get(name, value), name) for name, value in defaults.items())
    if not 2 <= size <= drawn + 1:
        raise ConfigError(f"data.fields.candidates is {size}; a set has at least 2, and at most 1 more than are drawn")
    pairs = list(pairs_of(path, {name: value for name, value in columns.items() if name not in defaults}, split))
    meaning = Groups()
    for pair in pairs:
        if pair.target not in (SAME, "0"):
            raise DataError(f"{path}:{pair.line}: label {pair.target!r} is neither 0 nor 1")
        if pair.target == SAME:
            meaning.join(*pair.texts)
    pool = {text: frozenset(text) for text in sorted({pair.texts[1] for pair in pairs if pair.texts[1].strip()})}
    for pair in _positives(pairs):
        # A generator of its own: a query's draw does not hang on those before it.
        generator = random.Random(f"{seed} {pair.texts}")
        others = _others(pool, meaning, pair.texts[0], drawn, generator)[: size - 1]
        if len(others) < size - 1:
            raise DataError(
                f"{path}:{pair.line}: only {len(others)} texts of another meaning for {size - 1} candidates besides "
                "the right one: lower data.fields.candidates"
            )
        generator.shuffle(others)
        place = generator.randrange(size)
        candidates = [*others[:place], pair.texts[1], *others[place:]]
        yield Example((pair.texts[0], json.dumps(candidates, ensure_ascii=False)), [place], pair.line)


class Groups:
    """Texts of the same meaning, as far as pairs tell (union-find)."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def of(self, text: str) -> str:
        """The text that stands for the group of `text`."""
        while (above := self.parent.get(text, text)) != text:
            text = above
        return text

    def join(self, one: str, other: str) -> None:
        """They mean the same."""
        self.parent[self.of(one)] = self.of(other)


def _number(value: str, name: str) -> int:
    if not value.isdecimal():
        raise ConfigError(f"data.fields.{name} is {value!r}; it must be a whole number in quotes")
    return int(value)


def _positives(pairs: Sequence[Example]) -> Iterator[Example]:
    """Each pair labelled 1 once; a text and itself, and blank texts, make no set."""
    seen = set()
    for pair in pairs:
        if pair.target == SAME and pair.texts[0] != pair.texts[1] and all(map(str.strip, pair.texts)):
            if pair.texts not in seen:
                yield pair
            seen.add(pair.texts)


def _others(
    pool: Mapping[str, frozenset[str]], meaning: Groups, query: str, count: int, generator: random.Random
) -> list[str]:
    """Of `count` texts drawn, those that mean something else than the query, the most alike in characters first."""
    own, characters = meaning.of(query), frozenset(query)
    texts = generator.sample(list(pool), min(count, len(pool)))

    def overlap(text: str) -> float:
        return len(characters & pool[text]) / len(characters | pool[text])

    return sorted((text for text in texts if meaning.of(text) != own), key=overlap, reverse=True)
