"""Prefixes of texts: encoders for retrieval were trained on "query: ..." and "passage: ...", and expect the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .tokenizer import TokenizedText, Tokenizer


@dataclass(frozen=True, kw_only=True)
class Prefixes:
    """The prefixes that a task knows. A text that begins with one is read as it is; others get `default` before them.

    So nothing is prefixed twice, and whoever sends a text chooses its prefix by sending it.
    """

    known: tuple[str, ...] = ()
    default: str = ""

    def split(self, text: str) -> tuple[str, str]:
        """The prefix that the text is read with, and the part of the text behind it."""
        for prefix in self.known:
            if text.startswith(prefix):
                return prefix, text[len(prefix) :]
        return self.default, text

    def tokenize(self, texts: Sequence[str], tokenizer: Tokenizer) -> list[TokenizedText]:
        """The tokens of each text with its prefix; none where nothing behind the prefix can be read.

        Offsets index the text as sent: tokens of a prefix that was put before it have (0, 0), like special tokens.
        """
        if not self.known:
            return tokenizer(texts)
        prefixed = [self.split(text) for text in texts]
        tokenized = tokenizer([prefix + rest for prefix, rest in prefixed])
        return [
            _as_sent(tokens, len(prefix), len(prefix + rest) - len(text))
            for tokens, (prefix, rest), text in zip(tokenized, prefixed, texts, strict=True)
        ]


NO_PREFIXES = Prefixes()


def _as_sent(tokens: TokenizedText, prefix: int, added: int) -> TokenizedText:
    """The tokens with offsets into the text as sent; prefix: its characters, of which `added` were not sent."""
    if not len(tokens.ids) or tokens.offsets[-1, 1] <= prefix:
        return TokenizedText(tokens.ids[:0], tokens.offsets[:0])
    return TokenizedText(tokens.ids, np.maximum(tokens.offsets - np.int32(added), 0)) if added else tokens
