"""Windows hardly longer than their special tokens, and a first text that is longer than it may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ernie_runtime.errors import ManifestError
from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.tokenization import ErnieTokenizer

MakeManifest = Callable[..., Manifest]
KINDS = {
    "pair_classification": (("0", "1"), {}),
    "question_answering": ((), {"max_answer_tokens": 1, "max_question_tokens": 8}),
    "ranking": (("0", "1"), {"max_candidates": 2}),
}
ITEMS = {"ranking": ("甲乙丙", '["子丑寅", "子"]')}


def tokens(tokenizer: ErnieTokenizer, ids: Any) -> str:
    return "".join(tokenizer.token(id) for id in ids.tolist())


@pytest.mark.parametrize(
    ("kind", "overflow"),
    [(kind, how) for kind in KINDS for how in ("window", "truncate") if (kind, how) != ("ranking", "window")],
)
def test_a_window_has_room_for_both_texts(
    make_manifest: MakeManifest, tokenizer: ErnieTokenizer, kind: str, overflow: str
) -> None:
    labels, options = KINDS[kind]
    make = {"labels": labels, "doc_stride": 1, "overflow": overflow, "options": options}
    with pytest.raises(ManifestError, match=r"task toy: max_length 4 has no room for two texts .* at least 5"):
        get_kind(kind).check(make_manifest(kind, max_length=4, **make))
    if kind == "question_answering" and overflow == "window":
        return  # no answer of a token lies whole where windows of a token do not overlap; refused for that
    manifest = make_manifest(kind, max_length=5, **make)
    get_kind(kind).check(manifest)
    item = ITEMS.get(kind, ("甲乙丙", "子丑寅"))
    documents, windows = get_kind(kind).documents([item], tokenizer, manifest)
    assert documents[0].error is None and documents[0].truncated
    for window in windows:
        first, second, end = tokens(tokenizer, window.input_ids).removeprefix("[CLS]").split("[SEP]")
        assert first == "甲" and second in tuple("子丑寅") and end == ""


@pytest.mark.parametrize("overflow", ["window", "truncate"])
@pytest.mark.parametrize("most", [2, 5, 8])
def test_a_question_is_cut_where_the_task_says(
    make_manifest: MakeManifest, tokenizer: ErnieTokenizer, overflow: str, most: int
) -> None:
    """It gives way to the context, however the rest of it is cut."""
    kind = get_kind("question_answering")
    options = {"max_answer_tokens": 2, "max_question_tokens": most}
    manifest = make_manifest(kind.name, (), 24, 4, overflow, options=options)
    kind.check(manifest)
    question, context = "甲乙丙丁戊己庚辛壬癸", "子丑寅卯辰巳午未申酉戌亥" * 3
    documents, windows = kind.documents([(question, context), (question[:most], "子丑")], tokenizer, manifest)
    assert [d.truncated for d in documents] == [True, False]
    for window in windows[:-1]:
        question_part, context_part, _ = tokens(tokenizer, window.input_ids).removeprefix("[CLS]").split("[SEP]")
        assert question_part == question[:most] and context_part in context and len(context_part) == 24 - 3 - most
