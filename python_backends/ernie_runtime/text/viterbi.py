"""The likeliest pieces of a text, as SentencePiece chooses them where two ways are equally likely.

The reference is `EncodeOptimized` of SentencePiece 0.2 (unigram_model.cc), which adds scores in float32. "666" may be 6
66 or 66 6: the sums are equal but for the rounding, which the text before decides. `tokenizers` adds in double
precision, and split 5 of 103,126 texts in another way.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

UNKNOWN_PENALTY = 10.0
Split = list[tuple[int, int, int]]  # id, start and end of each piece


class Pieces:
    """The pieces of a model. Pieces whose text ends in a blank are found in no text."""

    def __init__(self, vocabulary: Sequence[tuple[str, float]], unknown: int) -> None:
        """vocabulary: text and log-probability by id; unknown: id of a character that is no piece."""
        self._unknown = unknown
        self._scores = [score for _, score in vocabulary]
        self._ids: dict[str, int] = {}  # -1: only the beginning of a piece
        found = [(piece, id) for id, (piece, _) in enumerate(vocabulary) if not piece.endswith(" ")]
        for piece, _ in found:
            for end in range(1, len(piece)):
                self._ids.setdefault(piece[:end], -1)
        self._ids.update(found)
        lowest = min((self._scores[id] for _, id in found), default=0.0)
        (self._unknown_score,) = array("f", [lowest - UNKNOWN_PENALTY])

    def split(self, text: str) -> Split:
        """The pieces of a normalized text; characters in a row that are no pieces are one unknown piece."""
        size, look_up, scores = len(text), self._ids.get, self._scores
        best, starts, ids = array("f", bytes(4 * (size + 1))), [-1] * (size + 1), [self._unknown] * (size + 1)
        sums = array("f", [0.0])  # rounds to float32
        for start in range(size):
            till_here, has_character = best[start], False
            for end in range(start + 1, size + 1):
                id = look_up(text[start:end])
                if id is None:
                    break
                if id >= 0:
                    sums[0] = scores[id] + till_here
                    score = sums[0]
                    if starts[end] < 0 or score > best[end]:
                        best[end], starts[end], ids[end] = score, start, id
                    has_character = has_character or end == start + 1
            if not has_character:
                sums[0] = self._unknown_score + till_here
                score, end = sums[0], start + 1
                if starts[end] < 0 or score > best[end]:
                    best[end], starts[end], ids[end] = score, start, self._unknown
        pieces: Split = []
        end = size
        while end > 0:
            id, start = ids[end], starts[end]
            if id == self._unknown and pieces and pieces[-1][0] == id:
                pieces[-1] = (id, start, pieces[-1][2])
            else:
                pieces.append((id, start, end))
            end = start
        return pieces[::-1]
