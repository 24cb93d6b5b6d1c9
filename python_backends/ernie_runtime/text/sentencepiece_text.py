"""Texts as SentencePiece reads them, character by character of the text as sent; and what ERNIE-M and -Tiny do besides.

The reference is SentencePiece's own normalizer (normalizer.cc), and for the two models PaddleNLP 2.8.1:

- ERNIE-Tiny (`ErnieTinyTokenizer`) lowers the text, cuts it into the longest words of a dictionary, of at most five
  characters, and puts a blank between them. By character, every character is a word, as where PaddleNLP is given a list
  of characters to label.
- ERNIE-M (`ErnieMTokenizer`) splits the pieces again: ideographs and some punctuation marks stand alone, digits part
  from other characters. There are no tokens of blanks alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .characters_map import CharactersMap

BLANK = "▁"
LONGEST_WORD = 5  # characters
_ALONE = frozenset(",;:.?!~，；：。？！《》【】")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a model that came with SentencePiece's files reads texts."""

    dummy_prefix: bool = True  # a blank is put before the text
    extra_blanks_removed: bool = True  # leading, trailing, and all but one of several
    lowercase: bool = False
    split: bool = False  # ERNIE-M
    words: tuple[str, ...] | None = None  # ERNIE-Tiny: words of at least two characters


@dataclass(frozen=True, kw_only=True)
class ReadText:
    """A normalized text with BLANK for blanks, and where each of its characters comes from.

    starts, ends: of the characters of the text as sent, equal where there are none; None where character i comes from
    character i - `shift`, and the first `shift` characters from none.
    """

    text: str
    starts: list[int] | None = None
    ends: list[int] | None = None
    shift: int = 0

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The characters of the text as sent that text[start:end] comes from."""
        if self.starts is None or self.ends is None:
            return max(start - self.shift, 0), max(end - self.shift, 0)
        return self.starts[start], self.ends[end - 1]

    def blank(self, start: int, end: int) -> tuple[int, int]:
        """The span of a token of blanks alone: the blanks as sent, or where there are none the next character."""
        first, last = self.span(start, end)
        return (first, last) if first < last else self.span(end, end + 1)


class Reader:
    """Normalizes texts."""

    def __init__(self, reading: Reading, characters_map: CharactersMap, by_character: bool) -> None:
        self._reading, self._map = reading, characters_map
        self._words: Collection[str] | None = None
        if reading.words is not None:
            self._words = () if by_character else frozenset(reading.words)

    def __call__(self, text: str) -> ReadText:
        """The normalized text."""
        if self._words is None and not self._reading.lowercase:
            quick = self._map.quickly(text)
            if quick is not None:
                prefix = BLANK if self._reading.dummy_prefix and text else ""
                return ReadText(text=prefix + quick, shift=len(prefix))
        starts, ends = list(range(len(text))), list(range(1, len(text) + 1))
        if self._reading.lowercase:
            text, starts, ends = _lowered(text)
        if self._words is not None:
            text, starts, ends = _cut(text, starts, ends, self._words)
        return self._normalized(text, starts, ends)

    def _normalized(self, text: str, starts: list[int], ends: list[int]) -> ReadText:
        trims, position, read = self._reading.extra_blanks_removed, 0, list[tuple[str, int, int]]()
        while trims and position < len(text):
            replacement, after = self._map.replace(text, position)
            if replacement != " ":
                break
            position = after
        if position < len(text) and self._reading.dummy_prefix:
            read.append((BLANK, starts[position], starts[position]))
        after_blank = trims
        while position < len(text):
            replacement, after = self._map.replace(text, position)
            if after_blank:
                replacement = replacement.lstrip(" ")
            if replacement:
                start, end = starts[position], ends[after - 1]
                read += [(BLANK if char == " " else char, start, end) for char in replacement]
                after_blank = trims and replacement.endswith(" ")
            position = after
        while trims and read and read[-1][0] == BLANK:
            read.pop()
        return ReadText(
            text="".join(char for char, _, _ in read),
            starts=[start for _, start, _ in read],
            ends=[end for _, _, end in read],
        )


def _lowered(text: str) -> tuple[str, list[int], list[int]]:
    """The text with each character lowered alone, which may give several; start and end of each character's source."""
    lowered = [char.lower() for char in text]
    starts = [index for index, chars in enumerate(lowered) for _ in chars]
    return "".join(lowered), starts, [start + 1 for start in starts]


def _cut(text: str, starts: list[int], ends: list[int], words: Collection[str]) -> tuple[str, list[int], list[int]]:
    """The text with a blank between its words; the blanks come from no character."""
    pieces, new_starts, new_ends = list[str](), list[int](), list[int]()
    position = 0
    while position < len(text):
        lengths = range(min(LONGEST_WORD, len(text) - position), 1, -1)
        length = next((n for n in lengths if text[position : position + n] in words), 1) if words else 1
        word = text[position : position + length]
        if word != " ":
            if pieces:
                new_starts.append(starts[position])
                new_ends.append(starts[position])
            pieces.append(word)
            new_starts += starts[position : position + length]
            new_ends += ends[position : position + length]
        position += length
    return " ".join(pieces), new_starts, new_ends


def split_piece(piece: str) -> list[tuple[int, int]]:
    """Start and end of the parts that ERNIE-M makes of a piece; none of a blank alone."""
    if piece == BLANK:
        return []
    parts, last = list[tuple[int, int]](), 0

    def end_part(end: int) -> None:
        if end > last and piece[last:end] != BLANK:
            parts.append((last, end))

    for index, char in enumerate(piece):
        if char == BLANK:
            continue
        if "\u4e00" <= char <= "\u9fff" or char in _ALONE:
            end_part(index)
            parts.append((index, index + 1))
            last = index + 1
        elif index > 0 and char.isdigit() != piece[index - 1].isdigit():
            end_part(index)
            last = index
    if len(piece) > last:
        parts.append((last, len(piece)))
    return parts
