"""Tags of entities (BIO, BIOES and their other spellings): the tag set, the best legal tag sequence, and its spans."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import ManifestError
from .line_breaks import LINE_BREAK, breaks_before
from .words import NUMBERS, TELEPHONES, WORDS

IMPOSSIBLE = -1e9
WORD_SPLIT = 5.0
"""Cost in nats of a span that begins or ends inside a word: it must be about 150 times likelier than one that does not.
Without this cost an unsure model splits telephone numbers; with a ban, labels inside a number (the month of 20240105)
could never be found."""
WHOLE = 3
"""How many times WORD_SPLIT it costs in a telephone number: the model of spoken commands is that sure of its halves."""

OUTSIDE = "O"
_TAG = re.compile(r"([BIESMLU])[-_](.+)", re.DOTALL)
_TAG_AT_END = re.compile(r"(.+)[-_]([BIESMLU])", re.DOTALL)
_ROLES = {"M": "I", "L": "E", "U": "S"}  # BMES and BILOU


def parse_tag(tag: str) -> tuple[str, str]:
    """(role, type) of a tag: O (outside, without a type), B (begin), I (inside), E (end), S (single).

    `B-PER`, `B_PER` or `PER-B`; M is read as I, L as E, U as S. ManifestError for anything else.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    if match := _TAG.fullmatch(tag):
        role, kind = match[1], match[2]
    elif match := _TAG_AT_END.fullmatch(tag):
        kind, role = match[1], match[2]
    else:
        raise ManifestError(
            f"tag {tag!r} is neither O nor B-TYPE, I-TYPE, E-TYPE or S-TYPE (BMES, BILOU, _ for -, TYPE-B too)"
        )
    return _ROLES.get(role, role), kind


@dataclass(frozen=True)
class TagSet:
    """The tags of a model in the order of its logits: `O`, `B-TYPE`, `I-TYPE`, and perhaps `E-TYPE`, `S-TYPE`.

    A type that has an E- tag is closed (BIOES): its spans of several tokens end with E-, and one token is S-. A type
    without is open (BIO): its spans end where another tag follows.
    """

    tags: tuple[str, ...]

    def __post_init__(self) -> None:
        if OUTSIDE not in self.tags:
            raise ManifestError("the tags have no 'O'")
        for tag, (role, kind) in zip(self.tags, self.parts, strict=True):
            if role in "IE" and ("B", kind) not in self.parts:
                raise ManifestError(f"tag {tag!r} has no B-{kind} beside it")
            if role == "B" and ("E", kind) in self.parts and ("S", kind) not in self.parts:
                raise ManifestError(f"tag {tag!r} has E-{kind} beside it, and no tag S (or U) for a single token")
            if self.parts.count((role, kind)) > 1:
                raise ManifestError(f"tag {tag!r} is there in two spellings")

    @cached_property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """(role, type) of each tag, see `parse_tag`."""
        return tuple(parse_tag(tag) for tag in self.tags)

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The types, in the order of the tags."""
        return tuple(dict.fromkeys(kind for _, kind in self.parts if kind))

    @cached_property
    def column(self) -> dict[tuple[str, str], int]:
        """(role, type) -> column of the logits. A role that a type's tags lack is played by I for E, by B for S."""
        columns = {part: i for i, part in enumerate(self.parts)}
        for kind in self.types:
            for role, stand_in in (("S", "B"), ("B", "S"), ("I", "B"), ("E", "I")):
                if (role, kind) not in columns and (stand_in, kind) in columns:
                    columns[role, kind] = columns[stand_in, kind]
        return columns

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
        """bool [C, C]: whether tag j may follow tag i (I-X and E-X only after B-X or I-X, which E-X must close)."""
        allowed = np.ones((len(self.tags), len(self.tags)), bool)
        for i, (before, before_kind) in enumerate(self.parts):
            for j, (role, kind) in enumerate(self.parts):
                if role in "IE":
                    allowed[i, j] = before in "BI" and before_kind == kind
                else:
                    allowed[i, j] = self.ends[i]
        return allowed

    @cached_property
    def starts(self) -> np.ndarray:
        """bool [C]: whether a sequence may start with the tag."""
        return np.array([role not in "IE" for role, _ in self.parts])

    @cached_property
    def ends(self) -> np.ndarray:
        """bool [C]: whether a sequence, or a span, may end with the tag."""
        return np.array([role not in "BI" or ("E", kind) not in self.parts for role, kind in self.parts])

    @cached_property
    def goes_on(self) -> np.ndarray:
        """bool [C]: whether the tag goes on with the span of the tag before it."""
        return np.array([role in "IE" for role, _ in self.parts])

    @cached_property
    def splits(self) -> np.ndarray:
        """bool [C, C]: whether a span begins or ends between tag i and tag j, which follows it."""
        split = np.ones((len(self.tags), len(self.tags)), bool)
        for i, (before, before_kind) in enumerate(self.parts):
            if before == OUTSIDE:
                split[i, i] = False
            elif ("I", before_kind) not in self.parts and ("E", before_kind) not in self.parts:
                split[i] = False  # spans of such a type are one token long
            elif before in "BI":
                split[i] = [role not in "IE" or kind != before_kind for role, kind in self.parts]
        return split

    def best_path(
        self, scores: np.ndarray, joined: np.ndarray | None = None, apart: np.ndarray | None = None
    ) -> np.ndarray:
        """The legal tag sequence with the largest sum of scores, int64 [n]; scores: log-probabilities [n, C].

        joined: int64 [n], how many times WORD_SPLIT a split before each token costs, see `joined_tokens`.
        apart: float64 [n], the cost of a span that goes on from the token before, see `token_gaps`; None: none.
        Where the argmax sequence is legal and costs nothing, it is the best; else Viterbi finds the best.
        """
        path: np.ndarray = scores.argmax(axis=1)
        if len(path) == 0:
            return path
        joined = np.zeros(len(path), np.int64) if joined is None else joined
        steps = (path[:-1], path[1:])
        is_legal = self.starts[path[0]] and self.ends[path[-1]] and self.follows[steps].all()
        is_free = apart is None or not apart[self.goes_on[path]].any()
        if is_legal and is_free and not joined[1:][self.splits[steps]].any():
            return path
        if apart is not None:
            scores = scores - apart[:, None] * self.goes_on
        moves = np.where(self.follows, 0.0, IMPOSSIBLE)
        cost = WORD_SPLIT * self.splits
        best = scores[0] + np.where(self.starts, 0.0, IMPOSSIBLE)
        back = np.zeros(scores.shape, np.int64)
        for t in range(1, len(scores)):
            candidates = best[:, None] + (moves - joined[t] * cost if joined[t] else moves)
            back[t] = candidates.argmax(axis=0)
            best = candidates.max(axis=0) + scores[t]
        path = np.empty(len(scores), np.int64)
        path[-1] = (best + np.where(self.ends, 0.0, IMPOSSIBLE)).argmax()
        for t in range(len(scores) - 1, 0, -1):
            path[t - 1] = back[t, path[t]]
        return path

    def path_score(
        self, path: np.ndarray, scores: np.ndarray, joined: np.ndarray, apart: np.ndarray | None = None
    ) -> float:
        """What `best_path` maximizes: the sum of a legal path's scores, less the costs of what it splits and joins."""
        splits = joined[1:][self.splits[path[:-1], path[1:]]].sum()
        crossed = 0.0 if apart is None else float(apart[self.goes_on[path]].sum())
        return float(scores[np.arange(len(path)), path].sum()) - WORD_SPLIT * int(splits) - crossed

    def spans(self, path: Sequence[int] | np.ndarray) -> list[tuple[int, int, str]]:
        """(first token, last token + 1, type) of each entity in a legal path; adjacent entities stay apart."""
        spans: list[tuple[int, int, str]] = []
        start, kind = -1, ""
        for position, column in enumerate([*path, self.index[OUTSIDE]]):
            role, tag_kind = self.parts[column]
            if start >= 0 and role not in "IE":
                spans.append((start, position, kind))
                start = -1
            if role in "BS":
                start, kind = position, tag_kind
        return spans


def joined_tokens(text: str, offsets: np.ndarray) -> np.ndarray:
    """int64 [n], above 0 for tokens that continue the number, word or character of the token before them.

    It is how many times WORD_SPLIT a split there costs: once, or WHOLE in telephone numbers and the like.
    offsets: int32 [n, 2], of the tokens of a text in order.
    """
    starts = offsets[:, 0]
    joined = np.zeros(len(offsets), np.int64)
    joined[1:] = starts[1:] < offsets[:-1, 1]  # several tokens of one character: Hangul
    for words, times in ((WORDS, 1), (NUMBERS, 1), (TELEPHONES, WHOLE)):
        for word in words.finditer(text):
            inside = (starts > word.start()) & (starts < word.end())
            joined[inside] = np.maximum(joined[inside], times)
    if len(joined):
        joined[0] = 0
    return joined


def token_gaps(text: str, offsets: np.ndarray) -> np.ndarray | None:
    """float64 [n], the cost of a span that goes on from the token before each token; None where nothing costs.

    LINE_BREAK for a line break between them; a blank line is never crossed. offsets: int32 [n, 2], in order.
    """
    before = breaks_before(text, offsets[:, 0])
    if before is None or len(offsets) == 0:
        return None
    lines, blank_lines = (np.diff(count, prepend=count[0]) for count in before)
    return np.where(blank_lines > 0, -IMPOSSIBLE, LINE_BREAK * lines)


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
