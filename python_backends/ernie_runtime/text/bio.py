"""BIO tags: the tag set, the best legal tag sequence, and its spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import ManifestError
from .words import WORDS

IMPOSSIBLE = -1e9
WORD_SPLIT = 5.0
"""Cost in nats of a span that begins or ends inside a word: it must be about 150 times likelier than one that does not.
Without this cost an unsure model splits telephone numbers; with a ban, labels inside a number (the month of 20240105)
could never be found."""


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

    @cached_property
    def splits(self) -> np.ndarray:
        """bool [C, C]: whether a span begins or ends between tag i and tag j, which follows it."""
        split = np.ones((len(self.tags), len(self.tags)), bool)
        for i, before in enumerate(self.tags):
            continuation = "O" if before == "O" else f"I-{before[2:]}"
            if continuation in self.index:
                split[i, self.index[continuation]] = False
            else:  # spans of a type without I- are one token long
                split[i] = False
        return split

    def best_path(self, scores: np.ndarray, joined: np.ndarray | None = None) -> np.ndarray:
        """The legal tag sequence with the largest sum of scores, int64 [n]; scores: log-probabilities [n, C].

        joined: bool [n], tokens that continue the word of the token before them; a split there costs WORD_SPLIT.
        Where the argmax sequence is legal and splits no word, it is the best; else Viterbi finds the best.
        """
        path: np.ndarray = scores.argmax(axis=1)
        if len(path) == 0:
            return path
        joined = np.zeros(len(path), bool) if joined is None else joined
        steps = (path[:-1], path[1:])
        if self.starts[path[0]] and self.follows[steps].all() and not (self.splits[steps] & joined[1:]).any():
            return path
        moves = np.where(self.follows, 0.0, IMPOSSIBLE)
        inside = moves - WORD_SPLIT * self.splits
        best = scores[0] + np.where(self.starts, 0.0, IMPOSSIBLE)
        back = np.zeros(scores.shape, np.int64)
        for t in range(1, len(scores)):
            candidates = best[:, None] + (inside if joined[t] else moves)
            back[t] = candidates.argmax(axis=0)
            best = candidates.max(axis=0) + scores[t]
        path = np.empty(len(scores), np.int64)
        path[-1] = best.argmax()
        for t in range(len(scores) - 1, 0, -1):
            path[t - 1] = back[t, path[t]]
        return path

    def path_score(self, path: np.ndarray, scores: np.ndarray, joined: np.ndarray) -> float:
        """What `best_path` maximizes: the sum of a legal path's scores, less the costs of the words it splits."""
        splits = self.splits[path[:-1], path[1:]] & joined[1:]
        return float(scores[np.arange(len(path)), path].sum()) - WORD_SPLIT * int(splits.sum())

    def spans(self, path: Sequence[int] | np.ndarray) -> list[tuple[int, int, str]]:
        """(first token, last token + 1, type) of each entity in a legal path; adjacent entities stay apart."""
        spans: list[tuple[int, int, str]] = []
        start, kind = -1, ""
        for position, column in enumerate([*path, self.index["O"]]):
            tag = self.tags[column]
            if start >= 0 and not tag.startswith("I-"):
                spans.append((start, position, kind))
                start = -1
            if tag.startswith("B-"):
                start, kind = position, tag[2:]
        return spans


def joined_tokens(text: str, offsets: np.ndarray) -> np.ndarray:
    """bool [n]: tokens that continue the number, word or character of the token before them.

    offsets: int32 [n, 2], of the tokens of a text in order.
    """
    starts = offsets[:, 0]
    joined = np.zeros(len(offsets), bool)
    joined[1:] = starts[1:] < offsets[:-1, 1]  # several tokens of one character: Hangul
    for word in WORDS.finditer(text):
        joined |= (starts > word.start()) & (starts < word.end())
    if len(joined):
        joined[0] = False
    return joined


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """The logarithms of probabilities, made finite."""
    result: np.ndarray = np.log(np.maximum(probabilities, 1e-30))
    return result


def tagged_spans(
    tags: TagSet, path: np.ndarray, probabilities: np.ndarray, offsets: np.ndarray
) -> list[tuple[int, int, str, float]]:
    """(start, end, type, score) of each span of a legal path, in characters.

    path: int64 [n], the tags of a text's tokens in order; probabilities: float32 [n, C]; offsets: int32 [n, 2]. The
    score of a span is the mean probability of its tokens' tags. Spans never overlap: a character of several tokens
    (Hangul) belongs to the first span that has one of them, and a span without another character is dropped.
    """
    spans, last_end = [], 0
    for first, last, kind in tags.spans(path):
        start, end = max(int(offsets[first, 0]), last_end), int(offsets[last - 1, 1])
        if start < end:
            score = float(probabilities[np.arange(first, last), path[first:last]].mean())
            spans.append((start, end, kind, round(score, 6)))
            last_end = end
    return spans
