"""From text to answers: windows, exact slices of hard texts, whole words and numbers, and what cannot be asked."""

from __future__ import annotations

from typing import Any

import pytest

from ernie_runtime.text.tokenization import ErnieTokenizer

from ..reading import HARD, KIND, ManifestOf, pointing

QUESTION = "是谁？"


@pytest.mark.parametrize(("text", "answer"), HARD, ids=[answer for _, answer in HARD])
def test_answers_are_exact_slices(qa_manifest: ManifestOf, tokenizer: ErnieTokenizer, text: str, answer: str) -> None:
    for before in ("", "有人问：" * 20):
        context = before + text
        start = context.index(answer)
        manifest = qa_manifest(max_length=64, doc_stride=16, max_answer_tokens=24)
        best = pointing((QUESTION, context), tokenizer, manifest, (start, start + len(answer)))[0]
        assert best["text"] == answer and (best["start"], best["end"]) == (start, start + len(answer))


@pytest.mark.parametrize(
    ("text", "part", "expected"),
    [
        ("请拨打18866668888找他", "6668", "18866668888"),
        ("请拨打18866668888找他", "188", "18866668888"),
        ("新的iPhone6splus手机", "Phone6", "iPhone6splus"),
        ("编号ＡＢ１２３４５６７８。", "１２３４", "ＡＢ１２３４５６７８"),
        ("在cafe\u0301terias里", "teria", "cafe\u0301terias"),
        ("第20180315号文件", "0315号", "20180315号"),
        ("约3.14159和2,718元", "14159", "3.14159"),
        ("约3.14159和2,718元", "2", "2,718"),
        ("3.a,5.", "5", "5"),
        ("北京大学", "京大", "京大"),
    ],
)
def test_numbers_and_words_come_back_whole(
    qa_manifest: ManifestOf, tokenizer: ErnieTokenizer, text: str, part: str, expected: str
) -> None:
    """An engine that points into the middle of one."""
    start = text.index(part)
    best = pointing((QUESTION, text), tokenizer, qa_manifest(), (start, start + len(part)))[0]
    assert best["text"] == expected and best["start"] == text.index(expected)


def test_a_number_cut_by_a_window_is_whole(qa_manifest: ManifestOf, tokenizer: ErnieTokenizer) -> None:
    number = "9" * 30 + "1" * 30  # one word of more tokens than a window has
    context = "字" * 40 + number + "字" * 40
    manifest = qa_manifest(max_length=24, doc_stride=4)
    for start in range(40, 99, 7):
        best = pointing((QUESTION, context), tokenizer, manifest, (start, start + 1))[0]
        assert best["text"] == number


@pytest.mark.parametrize(("max_length", "doc_stride"), [(17, 3), (24, 8), (20, 6)])
def test_a_span_at_every_place_of_a_long_context(
    qa_manifest: ManifestOf, tokenizer: ErnieTokenizer, max_length: int, doc_stride: int
) -> None:
    """At a window's edge or across two windows: a span that is not too long lies whole in one of them."""
    context = "".join(chr(0x4E00 + i) for i in range(60))
    manifest = qa_manifest(max_length, doc_stride, max_answer_tokens=5, max_question_tokens=3)
    KIND.check(manifest)
    for size in (1, 2, 5):
        for start in range(len(context) - size + 1):
            best = pointing((QUESTION, context), tokenizer, manifest, (start, start + size))[0]
            assert (best["start"], best["end"]) == (start, start + size)


def test_documents(qa_manifest: ManifestOf, tokenizer: ErnieTokenizer) -> None:
    """The question in each window, cut where it is long; offsets for the context alone."""
    question, context = "问" * 12, "答" * 50
    (document,), windows = KIND.documents([(question, context)], tokenizer, qa_manifest())
    assert (document.text, document.tokens, document.truncated) == (context, 62, True)
    covered = set()
    for window in windows:
        assert len(window.input_ids) <= 32
        assert window.input_ids[[0, 9, -1]].tolist() == [tokenizer.cls_id, tokenizer.sep_id, tokenizer.sep_id]
        assert window.token_type_ids.tolist() == [0] * 10 + [1] * (len(window.input_ids) - 10)
        assert not window.offsets[:10].any() and not window.offsets[-1].any()
        covered |= {int(start) for start, _ in window.offsets[10:-1]}
    assert covered == set(range(50))
    (short,), _ = KIND.documents([("问", "答")], tokenizer, qa_manifest())
    assert not short.truncated


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (("", "答"), "the question is empty"),
        (("问", " \t"), "the context has only spaces or control characters"),
        (("问", b"\xff"), "the context is not UTF-8: invalid start byte at byte 0"),
        (("问", "\ud800"), "the context is not UTF-8: a lone surrogate"),
        (("问", "答" * 2001), "the context has 2,001 characters, this task takes at most 2,000"),
    ],
)
@pytest.mark.parametrize("conversion", ["", "t2s"])
def test_items_that_cannot_be_answered(
    qa_manifest: ManifestOf, tokenizer: ErnieTokenizer, item: tuple[Any, ...], says: str, conversion: str
) -> None:
    manifest = qa_manifest(script=conversion)
    documents, windows = KIND.documents([("问", "答"), item, ("问", "大")], tokenizer, manifest)
    assert [d.error for d in documents] == [None, says, None]
    assert [w.owner for w in windows] == [0, 1, 2]
