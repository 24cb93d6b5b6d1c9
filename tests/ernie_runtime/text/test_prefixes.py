"""Prefixes: put before a text once, counted in its tokens, never in its offsets; nothing behind one stays nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.prefixes import Prefixes
from ernie_runtime.text.tokenization import ErnieTokenizer

QUERY, PASSAGE = "天: ", "京: "  # in the vocabulary of the tests
OPTIONS = {"dimension": 4, "prefixes": {"query": QUERY, "passage": PASSAGE}, "prefix": "query"}
TEXTS = ["今天天气很好", "好", "😀", PASSAGE + "今天", QUERY + "好"]


def ids_of(kind: str, manifest: Manifest, tokenizer: ErnieTokenizer, *items: tuple[str, ...]) -> list[list[int]]:
    return [window.input_ids.tolist() for window in get_kind(kind).documents(items, tokenizer, manifest)[1]]


def plain_ids(tokenizer: ErnieTokenizer, text: str) -> list[int]:
    return [tokenizer.cls_id, *tokenizer([text])[0].ids.tolist(), tokenizer.sep_id]


@pytest.mark.parametrize("default", ["query", "passage", None])
def test_a_text_is_prefixed_once(
    make_manifest: Callable[..., Manifest], tokenizer: ErnieTokenizer, default: str | None
) -> None:
    options: dict[str, Any] = {**OPTIONS, "prefix": default} if default else {**OPTIONS}
    if default is None:
        del options["prefix"]
    prefix = {"query": QUERY, "passage": PASSAGE, None: ""}[default]
    sent = [text if text.startswith((QUERY, PASSAGE)) else prefix + text for text in TEXTS]
    manifest = make_manifest("embedding", (), max_length=32, doc_stride=16, options=options)
    expected = [plain_ids(tokenizer, text) for text in sent]
    assert ids_of("embedding", manifest, tokenizer, *((text,) for text in TEXTS)) == expected
    manifest = make_manifest("similarity", (), max_length=32, doc_stride=16, options=options)
    assert ids_of("similarity", manifest, tokenizer, (TEXTS[0], TEXTS[3])) == [expected[0], expected[3]]


def test_nothing_behind_a_prefix_stays_empty(make_manifest: Callable[..., Manifest], tokenizer: ErnieTokenizer) -> None:
    manifest = make_manifest("embedding", (), max_length=32, doc_stride=16, options=OPTIONS)
    items = [("",), (" \t",), (PASSAGE,), (QUERY + "\u3000",), ("好",)]
    documents, _ = get_kind("embedding").documents(items, tokenizer, manifest)
    blank = "the text has only spaces or control characters"
    assert [d.error for d in documents] == ["the text is empty", blank, "the text is empty", blank, None]


def test_offsets_are_those_of_the_text_as_sent(tokenizer: ErnieTokenizer) -> None:
    prefixes = Prefixes(known=(QUERY, PASSAGE), default=QUERY)
    put, sent = prefixes.tokenize(["今天  好", PASSAGE + "今天  好"], tokenizer)
    (alone,) = tokenizer(["今天  好"])
    before = len(put.ids) - len(alone.ids)
    assert before == 2 and not put.offsets[:before].any()
    assert put.offsets[before:].tolist() == alone.offsets.tolist()
    assert np.array_equal(sent.offsets, tokenizer([PASSAGE + "今天  好"])[0].offsets)
