"""Words that labels and answers should not split: numbers, English words, and mixtures of both."""

from __future__ import annotations

import re

import numpy as np

# Letters and digits of Latin, Greek and Cyrillic and their full-width forms; combining marks; characters without token.
_ALPHANUMERIC = "(?![\u0530-\uff0f\uff5b-\U0010ffff])[^\\W_]"
_MARK = "[\u0300-\u036f]"
_SILENT = "[\u0000-\u0008\u000e-\u001f\u007f\u00ad\u0300-\u036f\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]"

WORDS = re.compile(f"{_ALPHANUMERIC}(?:{_SILENT}*{_ALPHANUMERIC})+")
"""Runs of at least two letters or digits ("18866668888", "iPhone15Pro"); characters that the tokenizer deletes may lie
inside."""

_WHOLE = re.compile(f"{_ALPHANUMERIC}(?:{_SILENT}*{_ALPHANUMERIC}|(?<=[0-9])[.,](?=[0-9]))*{_MARK}*")


def word_bounds(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Start and end of the word around each character boundary, int64 [len(text) + 1] each.

    A word is one of WORDS with the marks after it, and numbers keep their inner points and commas ("9,999.50"). A
    boundary inside no word is its own start and end; Chinese characters are no words.
    """
    left = np.arange(len(text) + 1)
    right = left.copy()
    for word in _WHOLE.finditer(text):
        start, end = word.span()
        left[start + 1 : end], right[start + 1 : end] = start, end
    return left, right
