"""SentencePiece's rules of normalization (`precompiled_charsmap`): sequences of characters, and what replaces them.

At each place of a text the longest sequence that has a rule is replaced. `tokenizers` looks at whole grapheme clusters
instead, so it does not compose the letters of "ｶﾞ" or of decomposed Hangul; SentencePiece, and models trained with it,
do.
"""

from __future__ import annotations

import struct

import numpy as np

from ..errors import VocabularyError


class CharactersMap:
    """The rules, and which characters of a text need a closer look."""

    def __init__(self, precompiled: bytes) -> None:
        """precompiled: as in the model file; empty for no rules. VocabularyError where it is damaged."""
        try:
            self.rules = _rules(precompiled) if precompiled else {}
        except (struct.error, ValueError, IndexError):
            raise VocabularyError("its precompiled_charsmap is damaged") from None
        self._longest: dict[str, int] = {}  # by first character: length of the longest sequence
        careful = set(" ▁")
        for sequence, replacement in self.rules.items():
            self._longest[sequence[0]] = max(len(sequence), self._longest.get(sequence[0], 0))
            careful.update(sequence[1:])
            if len(sequence) == 1 and (len(replacement) != 1 or replacement == " "):
                careful.add(sequence)
        self._careful = frozenset(careful)
        self._one_to_one = str.maketrans({old: new for old, new in self.rules.items() if len(old) == len(new) == 1})

    def quickly(self, text: str) -> str | None:
        """The text with every character replaced, or None where they are not replaced one by one, or are blanks."""
        return text.translate(self._one_to_one) if self._careful.isdisjoint(text) else None

    def replace(self, text: str, start: int) -> tuple[str, int]:
        """What replaces the characters from `start` on, and the index after the last one replaced."""
        for length in range(min(self._longest.get(text[start], 0), len(text) - start), 0, -1):
            replacement = self.rules.get(text[start : start + length])
            if replacement is not None:
                return replacement, start + length
        return text[start], start + 1


def _rules(precompiled: bytes) -> dict[str, str]:
    """From a double-array trie of UTF-8 (Darts), whose values are places in a block of strings that end in NUL."""
    (size,) = struct.unpack_from("<I", precompiled)
    units = np.frombuffer(precompiled, "<u4", size // 4, 4).astype(np.int64)
    strings = precompiled[4 + size :]
    labels = np.arange(1, 256)
    offsets = (units >> 10) << ((units & (1 << 9)) >> 6)
    rules: dict[str, str] = {}
    nodes, prefixes = np.array([offsets[0]]), [b""]
    while len(nodes):
        children = nodes[:, None] ^ labels
        known = children < len(units)
        is_child = known & ((units[np.where(known, children, 0)] & 0x800000FF) == labels)
        parents, places = is_child.nonzero()
        below = children[parents, places]
        prefixes = [prefixes[p] + bytes([labels[i]]) for p, i in zip(parents.tolist(), places.tolist(), strict=True)]
        nodes = below ^ offsets[below]
        for index in (units[below] >> 8 & 1).nonzero()[0].tolist():
            begin = int(units[nodes[index]] & 0x7FFFFFFF)
            rules[prefixes[index].decode()] = strings[begin : strings.index(b"\0", begin)].decode()
    return rules
