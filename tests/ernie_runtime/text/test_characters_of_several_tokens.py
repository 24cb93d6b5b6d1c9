"""A Hangul syllable is two or three tokens of ERNIE 2.0's English vocabulary: spans of them never overlap."""

from __future__ import annotations

import numpy as np
import pytest

from ernie_builders.config.tasks import ASSETS
from ernie_runtime.text.bio import TagSet, tagged_spans
from ernie_runtime.text.tokenization import ErnieTokenizer

TAGS = TagSet.of_types(["PER", "LOC"])


@pytest.fixture(scope="module")
def english() -> ErnieTokenizer:
    return ErnieTokenizer.from_vocab(ASSETS / "vocab/ernie_2.0_en.txt")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-PER I-PER I-PER I-PER I-PER I-PER", [(0, 2, "PER")]),
        ("B-PER I-PER I-PER B-LOC I-LOC I-LOC", [(0, 1, "PER"), (1, 2, "LOC")]),
        # Cut inside the first syllable: it belongs to the first span.
        ("B-PER B-LOC I-LOC I-LOC I-LOC I-LOC", [(0, 1, "PER"), (1, 2, "LOC")]),
        ("O B-PER B-LOC O O O", [(0, 1, "PER")]),
        ("B-PER B-LOC B-PER B-PER B-LOC O", [(0, 1, "PER"), (1, 2, "PER")]),
        ("B-PER I-PER I-PER I-PER B-LOC O", [(0, 2, "PER")]),
    ],
)
def test_spans(english: ErnieTokenizer, tags: str, expected: list[tuple[int, int, str]]) -> None:
    (text,) = english(["한국"])
    assert [o.tolist() for o in text.offsets] == [[0, 1]] * 3 + [[1, 2]] * 3
    path = np.array([TAGS.index[tag] for tag in tags.split()])
    probabilities = np.full((6, len(TAGS.tags)), 0.2, np.float32)
    spans = tagged_spans(TAGS, path, probabilities, text.offsets)
    assert [(start, end, kind) for start, end, kind, _ in spans] == expected
    assert all(score == 0.2 for *_, score in spans)
