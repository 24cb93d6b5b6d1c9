"""BIO tags: the tag set, the best legal tag sequence, and the spans it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .errors import ManifestError

IMPOSSIBLE = -1e9


@dataclass(frozen=True)
class TagSet:
    """The tags of a model in the order of its logits: `O`, `B-TYPE`, `I-TYPE`."""

    tags: tuple[str, ...]

    def __post_init__(self) -> None:
        if "O" not in self.tags:
            raise ManifestError("the tags have no 'O'")
        for tag in self.tags:
            prefix, _, kind = tag.partition("-")
            if tag != "O" and (prefix not in ("B", "I") or not kind):
                raise ManifestError(f"tag {tag!r} is neither O nor B-TYPE nor I-TYPE")
            if prefix == "I" and f"B-{kind}" not in self.tags:
                raise ManifestError(f"tag {tag!r} has no B-{kind} beside it")

    @classmethod
    def of_types(cls, types: Sequence[str]) -> TagSet:
        """O, then B- and I- of each type."""
        return cls(("O", *(f"{p}-{t}" for t in types for p in "BI")))

    @cached_property
    def index(self) -> dict[str, int]:
        """Tag -> column of the logits."""
        return {tag: i for i, tag in enumerate(self.tags)}

    @cached_property
    def follows(self) -> np.ndarray:
        """bool [C, C]: whether tag j may follow tag i (I-X only after B-X or I-X)."""
        allowed = np.ones((len(self.tags), len(self.tags)), bool)
        for j, tag in enumerate(self.tags):
            if tag.startswith("I-"):
                for i, before in enumerate(self.tags):
                    allowed[i, j] = before[2:] == tag[2:] and before != "O"
        return allowed

    @cached_property
    def starts(self) -> np.ndarray:
        """bool [C]: whether a sequence may start with the tag."""
        return np.array([not tag.startswith("I-") for tag in self.tags])

    def best_path(self, scores: np.ndarray) -> np.ndarray:
        """The legal tag sequence with the largest sum of scores, int64 [n]; scores: log-probabilities [n, C].

        The argmax sequence is taken where it is legal (it is then the best); else Viterbi over the legal moves.
        """
        path: np.ndarray = scores.argmax(axis=1)
        if len(path) == 0 or (self.starts[path[0]] and self.follows[path[:-1], path[1:]].all()):
            return path
        moves = np.where(self.follows, 0.0, IMPOSSIBLE)
        best = scores[0] + np.where(self.starts, 0.0, IMPOSSIBLE)
        back = np.zeros(scores.shape, np.int64)
        for t in range(1, len(scores)):
            candidates = best[:, None] + moves
            back[t] = candidates.argmax(axis=0)
            best = candidates.max(axis=0) + scores[t]
        path = np.empty(len(scores), np.int64)
        path[-1] = best.argmax()
        for t in range(len(scores) - 1, 0, -1):
            path[t - 1] = back[t, path[t]]
        return path

    def spans(self, path: Sequence[int] | np.ndarray) -> list[tuple[int, int, str]]:
        """(first token, last token + 1, type) of each entity in a legal path; entities that touch stay apart."""
        found: list[tuple[int, int, str]] = []
        start, kind = -1, ""
        for position, column in enumerate([*path, self.index["O"]]):
            tag = self.tags[column]
            if start >= 0 and not tag.startswith("I-"):
                found.append((start, position, kind))
                start = -1
            if tag.startswith("B-"):
                start, kind = position, tag[2:]
        return found
