"""SentencePiece's rules of normalization (`precompiled_charsmap`): sequences of characters, and what replaces them.

At each place of a text the longest sequence that has a rule is replaced. `tokenizers` looks at whole grapheme clusters
instead, so it does not compose the letters of "ｶﾞ" or of decomposed Hangul; SentencePiece, and models trained with it,
do.
"""

from __future__ import annotations

import struct

import numpy as np

from ..errors import VocabularyError

LEAF, LABEL = 1 << 8, 0x800000FF  # bits of a unit; a unit of a value has no label below 256


class CharactersMap:
    """The rules, in a double-array trie of UTF-8 (Darts) whose values are places in a block of strings."""

    def __init__(self, precompiled: bytes) -> None:
        """precompiled: as in the model file; empty for no rules. VocabularyError where it is damaged."""
        self._units: list[int] = []
        self._strings = b""
        self._single: dict[str, str] = {}  # rules of one character
        self._continuing: frozenset[str] = frozenset()  # characters that may follow the first one in a rule
        if precompiled:
            try:
                self._read(precompiled)
            except (struct.error, ValueError, IndexError):
                raise VocabularyError("its precompiled_charsmap is damaged") from None
        one_to_one = {old: new for old, new in self._single.items() if len(new) == 1 and new != " "}
        self._one_to_one = str.maketrans(one_to_one)
        self._careful = self._continuing | (self._single.keys() - one_to_one.keys()) | {" ", "▁"}

    def quickly(self, text: str) -> str | None:
        """The text with every character replaced, or None where they are not replaced one by one, or are blanks."""
        return text.translate(self._one_to_one) if self._careful.isdisjoint(text) else None

    def replace(self, text: str, start: int) -> tuple[str, int]:
        """What replaces the characters from `start` on, and the index after the last one replaced."""
        if start + 1 == len(text) or text[start + 1] not in self._continuing:
            return self._single.get(text[start], text[start]), start + 1
        found, node = (text[start], start + 1), _offset(self._units[0])
        for index in range(start, len(text)):
            for byte in text[index].encode():
                node ^= byte
                if node >= len(self._units) or self._units[node] & LABEL != byte:
                    return found
                unit = self._units[node]
                node ^= _offset(unit)
            if unit & LEAF:
                found = self._value(node), index + 1
        return found

    def _value(self, node: int) -> str:
        begin = self._units[node] & 0x7FFFFFFF
        return self._strings[begin : self._strings.index(b"\0", begin)].decode()

    def _read(self, precompiled: bytes) -> None:
        (size,) = struct.unpack_from("<I", precompiled)
        units = np.frombuffer(precompiled, "<u4", size // 4, 4).astype(np.int64)
        self._units, self._strings = units.tolist(), precompiled[4 + size :]
        labels, offsets, places = units & LABEL, (units >> 10) << ((units & (1 << 9)) >> 6), np.arange(len(units))
        parents = np.where((labels > 0) & (labels < 256), places ^ labels, -1)
        # Level by level, a byte each: the nodes, and of each the code point so far, its missing bytes, its number.
        nodes = offsets[:1]
        codes = missing = numbers = np.zeros(1, np.int64)
        continuing: set[int] = set()
        while len(nodes):
            order = np.argsort(nodes)
            children = np.flatnonzero(np.isin(parents, nodes))
            above = order[np.searchsorted(nodes[order], parents[children])]
            byte = labels[children]
            begins = missing[above] == 0
            lengths = (byte >= 0xC0).astype(np.int64) + (byte >= 0xE0) + (byte >= 0xF0)
            codes = np.where(begins, byte & (0x7F >> (lengths + (lengths > 0))), codes[above] << 6 | byte & 0x3F)
            missing = np.where(begins, lengths, missing[above] - 1)
            numbers = numbers[above] + begins
            nodes = children ^ offsets[children]
            continuing.update(codes[(missing == 0) & (numbers > 1)].tolist())
            for index in ((missing == 0) & (numbers == 1) & (units[children] & LEAF > 0)).nonzero()[0].tolist():
                self._single[chr(int(codes[index]))] = self._value(int(nodes[index]))
        self._continuing = frozenset(map(chr, continuing))


def _offset(unit: int) -> int:
    return (unit >> 10) << ((unit & (1 << 9)) >> 6)
