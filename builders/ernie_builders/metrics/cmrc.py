"""Exact match and F1 of answers, as CMRC2018 publishes them.

Definition: Cui et al. 2019, "A Span-Extraction Dataset for Chinese Machine Reading Comprehension", section 4.1, and
the evaluation script that comes with the set (version 5). Kept as there: the punctuation that is taken out is
PUNCTUATION alone (ASCII full stops, commas and brackets stay, and so does the left single quotation mark), the common
part is the longest run of segments that both have, not their multiset as in SQuAD, and a question's figure is the
best over its references. The script leaves what is not Chinese to NLTK's tokenizer; `segments` has its rules for
blanks, numbers, brackets and punctuation, not those for English contractions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_CHINESE = re.compile("[\u4e00-\u9fa5]")
_ALONE = r"""\.{3} | [\[\](){}<>?!;@\#$%&"—] | ,(?!\d) | \.(?=[\])}>"'\s]*$)"""  # a number keeps its inner commas
_PIECES = re.compile(rf"{_ALONE} | (?: (?!{_ALONE}) \S )+", re.VERBOSE)


def normalized(text: str) -> str:
    """Lower case, without PUNCTUATION and outer blanks: what exact match compares."""
    return "".join(char for char in text.lower().strip() if char not in PUNCTUATION)


def segments(text: str) -> list[str]:
    """Chinese characters one by one, the rest as words; PUNCTUATION left out."""
    found: list[str] = []
    run = ""
    for char in normalized(text):
        if _CHINESE.match(char):
            found += [*_PIECES.findall(run), char]
            run = ""
        else:
            run += char
    return found + _PIECES.findall(run)


def longest_common_run(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest contiguous run of segments that both have."""
    best, before = 0, [0] * (len(b) + 1)
    for x in a:
        row = [0] * (len(b) + 1)
        for j, y in enumerate(b, 1):
            if x == y:
                row[j] = before[j - 1] + 1
        best, before = max(best, *row), row
    return best


def f1(answer: str, references: Sequence[str]) -> float:
    """0 to 1, the best over the references: F1 of the common run's part of the answer and of the reference."""
    mine, scores = segments(answer), [0.0]
    for reference in references:
        theirs = segments(reference)
        common = longest_common_run(theirs, mine)
        # 2pr / (p + r) with p = common / len(mine) and r = common / len(theirs)
        scores.append(2 * common / (len(mine) + len(theirs)) if common else 0.0)
    return max(scores)


def exact_match(answer: str, references: Sequence[str]) -> bool:
    """Whether the answer is one of the references, punctuation and case aside."""
    return normalized(answer) in {normalized(reference) for reference in references}
