"""How texts are cut, and which of them are refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ernie_runtime.errors import ManifestError
from ernie_runtime.manifest import Limits
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.windows import single_text_documents, window_starts

EXAMPLES = settings(deadline=None, derandomize=True, database=None, max_examples=300)


@EXAMPLES
@given(tokens=st.integers(0, 700), room=st.integers(2, 130), data=st.data())
def test_window_starts_cover_every_token(tokens: int, room: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, room))
    starts = window_starts(tokens, room, stride, "window")
    assert starts[0] == 0 and starts == sorted(set(starts))
    assert all(b - a <= stride for a, b in pairwise(starts))
    covered = {token for start in starts for token in range(start, min(start + room, tokens))}
    assert covered == set(range(tokens))
    if tokens > room:
        assert starts[-1] + room == tokens  # flush with the end, and so full
        assert all(start + room < tokens for start in starts[:-1])  # none that the last makes needless
    else:
        assert starts == [0]
    assert window_starts(tokens, room, stride, "truncate") == [0]


@EXAMPLES
@given(st.lists(st.text(alphabet="中a😀 \u0301\x00é1", max_size=60), min_size=1, max_size=6), st.integers(4, 20))
def test_windows_are_the_text_between_cls_and_sep(tokenizer: ErnieTokenizer, texts: list[str], max_length: int) -> None:
    limits = Limits(max_length=max_length, doc_stride=(max_length - 1) // 2)
    documents, windows = single_text_documents([(text.encode(),) for text in texts], tokenizer, limits)
    assert len(documents) == len(texts)
    assert [w.owner for w in windows] == sorted(w.owner for w in windows)
    for owner, (text, document) in enumerate(zip(texts, documents, strict=True)):
        text_windows = [w for w in windows if w.owner == owner]
        (tokens,) = tokenizer([text])
        if document.error is not None:
            assert len(tokens.ids) == 0
            assert [w.input_ids.tolist() for w in text_windows] == [[tokenizer.cls_id, tokenizer.sep_id]]
            continue
        assert (document.text, document.tokens, document.windows) == (text, len(tokens.ids), len(text_windows))
        assert not document.truncated
        starts = window_starts(len(tokens.ids), max_length - 2, limits.doc_stride, "window")
        for start, window in zip(starts, text_windows, strict=True):
            ids = tokens.ids[start : start + max_length - 2]
            assert window.input_ids.tolist() == [tokenizer.cls_id, *ids, tokenizer.sep_id]
            assert window.offsets[1:-1].tolist() == tokens.offsets[start : start + max_length - 2].tolist()
            assert window.offsets[[0, -1]].tolist() == [[0, 0], [0, 0]]
            assert len(window.input_ids) == len(window.token_type_ids) == len(window.offsets) <= max_length
            assert not window.token_type_ids.any()


@pytest.mark.parametrize(("characters", "truncated"), [(5, False), (6, False), (7, True), (500, True)])
def test_truncate_says_so(tokenizer: ErnieTokenizer, characters: int, truncated: bool) -> None:
    (document,), windows = single_text_documents(
        [("中" * characters,)], tokenizer, Limits(max_length=8, doc_stride=3, overflow="truncate")
    )
    assert (document.truncated, document.tokens, document.windows, len(windows)) == (
        truncated,
        characters,
        1,
        1,
    )
    assert len(windows[0].input_ids) == min(characters, 6) + 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_length": 3, "doc_stride": 1}, "max_length 3 is outside 4..4096"),
        ({"max_length": 5000, "doc_stride": 1}, "max_length 5000 is outside"),
        ({"max_length": 16, "doc_stride": 0}, "doc_stride 0 is outside 1..14"),
        ({"max_length": 16, "doc_stride": 15}, "doc_stride 15 is outside 1..14"),
        ({"max_length": 16, "doc_stride": -1}, "doc_stride -1 is outside"),
        ({"max_length": 16, "doc_stride": 8, "overflow": "cut"}, "'cut' is none of window, truncate"),
        ({"max_length": 16, "doc_stride": 8, "max_chars": 0}, "max_chars 0 is below 1"),
        ({"max_length": 16.0, "doc_stride": 8}, "max_length 16.0 is not a whole number"),
        ({"max_length": 16, "doc_stride": True}, "doc_stride True is not a whole number"),
        ({"max_length": 16, "doc_stride": 8, "max_chars": "9"}, "max_chars '9' is not a whole number"),
    ],
)
def test_limits(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        Limits(**fields)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", "the text is empty"),
        ("", "the text is empty"),
        (b"  \t\r\n", "only spaces or control characters"),
        ("\u3000\u2028\xa0".encode(), "only spaces or control characters"),
        (b"\0", "only spaces or control characters"),
        (b"\x01\x7f\0\0", "only spaces or control characters"),
        ("\u200b\ufeff\ufffd".encode(), "only spaces or control characters"),
        (b"\xff\xfe", "the text is not UTF-8: invalid start byte at byte 0"),
        (b"abc\xe4\xb8", "the text is not UTF-8: unexpected end of data at byte 3"),
        ("中文".encode("gb18030"), "the text is not UTF-8"),
        (b"\xc0\x80", "the text is not UTF-8"),
        ("\ud800".encode("utf-8", "surrogatepass"), "the text is not UTF-8"),
        ("中\ud83d国", "the text is not UTF-8: a lone surrogate"),
        ("中" * 101, "the text has 101 characters, this task takes at most 100"),
        (b"x" * 2**20, "the text has 1,048,576 characters, this task takes at most 100"),
    ],
)
def test_texts_that_cannot_be_answered(tokenizer: ErnieTokenizer, raw: bytes | str, error: str) -> None:
    items: list[tuple[bytes | str, ...]] = [("好",), (raw,), ("坏".encode(),)]
    documents, windows = single_text_documents(items, tokenizer, Limits(max_length=16, doc_stride=8, max_chars=100))
    assert [d.error is None for d in documents] == [True, False, True]
    fault = documents[1].error
    assert fault is not None and error in fault and len(fault) < 120 and "\n" not in fault
    assert [w.owner for w in windows] == [0, 1, 2]
    assert windows[1].input_ids.tolist() == [tokenizer.cls_id, tokenizer.sep_id]


def test_max_chars_counts_characters_not_bytes(tokenizer: ErnieTokenizer) -> None:
    limits = Limits(max_length=16, doc_stride=8, max_chars=100)
    (document,), _ = single_text_documents([("😀" * 100,)], tokenizer, limits)
    assert document.error is None and document.tokens == 100


def test_no_texts(tokenizer: ErnieTokenizer) -> None:
    assert single_text_documents([], tokenizer, Limits(max_length=16, doc_stride=8)) == ([], [])
