"""Exact match and F1 of answers, as CMRC2018 publishes them.

Definition: Cui et al. 2019, "A Span-Extraction Dataset for Chinese Machine Reading Comprehension", section 4.1, and
the evaluation script of the data set (version 5). As in the script, only PUNCTUATION is removed (ASCII full stops,
commas and brackets stay, and so does the left single quotation mark), the overlap is the longest common run of
segments, not their multiset as in SQuAD, and a question's figure is the best over its references. The script splits
what is not Chinese with NLTK's tokenizer; `segments` has NLTK's rules for blanks, numbers, brackets and punctuation,
but not those for English contractions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_CHINESE = re.compile("[\u4e00-\u9fa5]")
_SEPARATE = r"""\.{3} | [\[\](){}<>?!;@\#$%&"—] | ,(?!\d) | \.(?=[\])}>"'\s]*$)"""  # a number keeps its inner commas
_PIECES = re.compile(rf"{_SEPARATE} | (?: (?!{_SEPARATE}) \S )+", re.VERBOSE)


def normalized(text: str) -> str:
    """Lower case, without PUNCTUATION and surrounding blanks: what exact match compares."""
    return "".join(char for char in text.lower().strip() if char not in PUNCTUATION)


def segments(text: str) -> list[str]:
    """Chinese characters one by one, the rest as words; PUNCTUATION is left out."""
    result: list[str] = []
    other = ""  # characters since the last Chinese one
    for char in normalized(text):
        if _CHINESE.match(char):
            result += [*_PIECES.findall(other), char]
            other = ""
        else:
            other += char
    return result + _PIECES.findall(other)


def longest_common_run(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest contiguous run of segments that both have."""
    best, previous = 0, [0] * (len(b) + 1)
    for x in a:
        row = [0] * (len(b) + 1)
        for j, y in enumerate(b, 1):
            if x == y:
                row[j] = previous[j - 1] + 1
        best, previous = max(best, *row), row
    return best


def f1(answer: str, references: Sequence[str]) -> float:
    """0 to 1, the best over the references; precision and recall are the common run's share of the segments."""
    answer_segments, scores = segments(answer), [0.0]
    for reference in references:
        reference_segments = segments(reference)
        common = longest_common_run(reference_segments, answer_segments)
        # 2pr / (p + r) with p = common / len(answer_segments) and r = common / len(reference_segments)
        scores.append(2 * common / (len(answer_segments) + len(reference_segments)) if common else 0.0)
    return max(scores)


def exact_match(answer: str, references: Sequence[str]) -> bool:
    """Whether the answer equals one of the references, ignoring punctuation and case."""
    return normalized(answer) in {normalized(reference) for reference in references}
