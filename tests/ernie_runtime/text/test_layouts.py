"""Windows of two texts, and masks, with the special tokens of other tokenizers than ERNIE's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ernie_runtime.errors import ManifestError
from ernie_runtime.kinds import get_kind
from ernie_runtime.kinds.fill_mask import best_tokens, options_of, readable
from ernie_runtime.manifest import Limits, Manifest
from ernie_runtime.text.pairs import pair_documents
from ernie_runtime.text.tokenizer import Tokenizer
from ernie_runtime.text.windows import Window

from ..sentencepiece_samples import unigram

ITEM = ("今天天气", "我们去公园")


@pytest.fixture(scope="module")
def xlm_r() -> Tokenizer:
    return unigram().for_characters()


def pair(tokenizer: Tokenizer, max_length: int = 32, overflow: str = "truncate") -> list[Window]:
    limits = Limits(max_length=max_length, doc_stride=4, overflow=overflow)
    return pair_documents([ITEM], tokenizer, limits)[1]


def test_pairs_of_xlm_r(xlm_r: Tokenizer) -> None:
    (window,) = pair(xlm_r)
    tokens = [xlm_r.token(id) for id in window.input_ids.tolist()]
    assert tokens == ["<s>", *"今天天气", "</s>", "</s>", *"我们去公园", "</s>"]
    assert window.token_type_ids.tolist() == [0] * len(tokens)
    assert window.offsets[7:12].tolist() == [[i, i + 1] for i in range(5)]
    assert not window.offsets[:7].any() and not window.offsets[12:].any()


def test_pairs_with_token_types() -> None:
    tokenizer = unigram(separators=1, second_type=1).for_characters()
    (window,) = pair(tokenizer)
    assert window.token_type_ids.tolist() == [0] * 6 + [1] * 6


@pytest.mark.parametrize("max_length", [6, 7, 9, 12])
@pytest.mark.parametrize("overflow", ["truncate", "window"])
def test_windows_have_room_for_four_special_tokens(xlm_r: Tokenizer, max_length: int, overflow: str) -> None:
    windows = pair(xlm_r, max_length, overflow)
    assert all(len(window.input_ids) <= max_length for window in windows)
    assert all((window.input_ids == xlm_r.sep_id).sum() == 3 for window in windows)
    if overflow == "window":
        read = {start for window in windows for start, end in window.offsets.tolist() if end}
        assert read == set(range(5))


@pytest.mark.parametrize("kind", ["pair_classification", "question_answering"])
def test_a_window_too_short_for_four_special_tokens(
    kind: str, xlm_r: Tokenizer, make_manifest: Callable[..., Manifest]
) -> None:
    options = {"max_answer_tokens": 1, "max_question_tokens": 1} if kind == "question_answering" else {}
    manifest = make_manifest(kind, ("a", "b"), max_length=5, doc_stride=1, overflow="truncate", options=options)
    with pytest.raises(ManifestError, match="their 4 special tokens; it must be at least 6"):
        get_kind(kind).documents([ITEM], xlm_r, manifest)


def test_masks(xlm_r: Tokenizer, make_manifest: Callable[..., Manifest]) -> None:
    tokens = ["" if id in xlm_r.special_ids else xlm_r.token(id) for id in range(xlm_r.vocab_size)]
    manifest = make_manifest(
        "fill_mask", (), 16, 8, options=options_of(tokens), vocabulary_size=xlm_r.vocab_size, vocabulary_sha256="00"
    )
    (document,), (window,) = get_kind("fill_mask").documents([("今[MASK]天气<mask>",)], xlm_r, manifest)
    assert document.extra == {"masks": [[0, 2, 1, 7]]}
    assert window.input_ids.tolist().count(xlm_r.mask_id) == 1 == window.input_ids.tolist().index(xlm_r.mask_id) - 1
    words = readable(manifest.options["tokens"])
    assert [words[id] for id in xlm_r.special_ids] == [None] * 5
    blank, word = xlm_r.id("▁"), next(id for id in range(5, xlm_r.vocab_size) if len(xlm_r.token(id).strip("▁")) > 1)
    assert blank is not None and words[blank] is None and words[word] == xlm_r.token(word).strip("▁")


def test_pieces_with_the_same_text_are_one_answer() -> None:
    import numpy as np

    words = readable("\n".join(["", "▁the", "the", "##", "▁"]))
    assert words == [None, "the", "the", "##", None]
    answers = best_tokens(np.array([0.4, 0.3, 0.2, 0.1], np.float32), np.array([3, 1, 2, 4]), words)
    assert [answer["token"] for answer in answers] == ["the", "##"]
