"""The look-up of plain texts gives what Rust gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ernie_runtime.text import character_table
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..hard_texts import HARD, VOCAB, code_points, fuzz

PLAIN = [
    "今天天气不错，我们去公园吧！",
    "iPhone 15 Pro Max售价9,999元（约$1,399.00）",
    "深圳\u3000市  路\r\n\t1 号",
    "",
]
TABLE = ErnieTokenizer.from_vocab(VOCAB)
PARTS = ["中", "，", "a", "Z", "9", " ", "\n", "iPhone", "ｂ", "é", "e\u0301", "\u200b", "😀", "Σ", "が"]
WORDS = st.sampled_from(PARTS)


def assert_equals_rust(texts: list[str]) -> None:
    for text, ours, rust in zip(texts, TABLE(texts), TABLE._by_rust(texts), strict=True):
        assert np.array_equal(ours.ids, rust.ids) and np.array_equal(ours.offsets, rust.offsets), text
        assert ours.ids.dtype == np.int64 and ours.offsets.dtype == np.int32 and ours.offsets.shape[1] == 2


def test_plain_texts_are_looked_up() -> None:
    assert all(TABLE._table.tokenize(text) is not None for text in PLAIN)
    assert_equals_rust(PLAIN)


def test_others_are_left_to_rust() -> None:
    assert_equals_rust(HARD + fuzz())
    assert all(TABLE._table.tokenize(text) is None for text in ("e\u0301", "が", "a\u200bb", "😀", "\udc80"))


def test_every_character() -> None:
    """Alone, inside a word, and between a word and an ideograph."""
    assert_equals_rust([text for char in map(chr, code_points(0x10000)) for text in (char, f"ab{char}c中")])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(WORDS, max_size=12).map("".join), max_size=20))
def test_any_mixture(texts: list[str]) -> None:
    assert_equals_rust(texts)


def test_words_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(character_table, "CACHED_WORDS", 3)
    tokenizer = ErnieTokenizer.from_vocab(VOCAB)
    words = [f"word{i}" for i in range(10)] + ["x" * 41, "y" * 200]
    for word in words * 2:
        assert tokenizer([word])[0].ids.tolist() == TABLE._by_rust([word])[0].ids.tolist()
        assert len(tokenizer._table._words) <= 3
    assert all(len(word) <= character_table.CACHED_CHARS for word in tokenizer._table._words)
