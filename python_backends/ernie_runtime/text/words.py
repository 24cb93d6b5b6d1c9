"""What labels and answers should not split: numbers, English words, and mixtures of both."""

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

_D = "[0-9\uff10-\uff19]"
_ONE, _WIDE = "[1\uff11]", "[\uff10-\uff19]"
_DASH, _DOT, _SLASH, _COLON = "[-\uff0d\u2010-\u2013]", "[.\uff0e]", "[/\uff0f]", "[:\uff1a]"
_GAP = f"(?:{_DASH}| )"
_AREA = f"(?:[(\uff08][0\uff10]{_D}{{2,3}}[)\uff09] ?|[0\uff10]{_D}{{2,3}}{_GAP})"
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"


def _any_of(*forms: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?<!{_D})(?:{form})(?!{_D})" for form in forms))


TELEPHONES = _any_of(
    f"(?:(?:[+\uff0b]|00)86{_GAP}?)?{_ONE}{_D}{{2}}{_GAP}{_D}{{4}}{_GAP}{_D}{{4}}",  # 188-6666-8888, 188 6666 8888
    f"(?:[+\uff0b]|00)86{_GAP}{_ONE}{_D}{{10}}",
    f"{_AREA}{_D}{{7,8}}(?:{_DASH}{_D}{{1,6}})?",  # 010-66554433, (010)66554433-12
    f"{_AREA}{_D}{{3,4}}{_GAP}{_D}{{4}}",  # 010-6655-4433
    f"[48]00{_GAP}{_D}{{3,4}}{_GAP}{_D}{{3,4}}",  # 400-820-8820
    f"{_D}{{1,3}}(?:,{_D}{{3}})+(?:{_DOT}{_D}+)?",  # 9,999.50
    f"{_WIDE}{{1,3}}(?:\uff0c{_WIDE}{{3}})+(?:{_DOT}{_WIDE}+)?",
    f"[{_PROVINCES}][A-Z](?:[\u00b7\u2022. -]?)(?=[A-Z0-9]{{0,5}}[0-9])[A-Z0-9]{{5,6}}",  # 京A·12345
)
"""Numbers with separators whose parts mean nothing alone: telephones, amounts with thousands, car plates. ASCII and
full-width."""

NUMBERS = _any_of(
    f"{_D}{{4}}(?:{_DASH}{_D}{{1,2}}{_DASH}|{_SLASH}{_D}{{1,2}}{_SLASH}){_D}{{1,2}}",  # 2024-01-05, 2024/1/5
    f"{_D}{{1,2}}{_COLON}{_D}{{2}}(?:{_COLON}{_D}{{2}})?",  # 12:30, 12:30:59
    f"{_D}+(?:{_DOT}{_D}+)+",  # 3.14, 2024.1.5, 10.0.0.1
)
"""Numbers whose parts may be labels of their own: dates, times, decimals. Ranges (1998-2000) and scores (3-2) are no
numbers."""

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
