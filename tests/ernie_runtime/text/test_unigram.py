"""SentencePiece's tokenizer: ids against `tokenizers`, offsets against the text they point into."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from ernie_runtime.errors import VocabularyError
from ernie_runtime.text.tokenizer import TokenizedText
from ernie_runtime.text.tokenizer_file import load_tokenizer
from ernie_runtime.text.unigram import SETTINGS, UnigramTokenizer, dumps

from ..hard_texts import HARD, SPECIAL_INSIDE, fuzz
from ..sentencepiece_samples import LINES, SPECIAL, published, trained, unigram

TEXTS = [*LINES, *HARD, *SPECIAL_INSIDE, *fuzz()]


@pytest.fixture(scope="module")
def pieces() -> UnigramTokenizer:
    return unigram()


@pytest.fixture(scope="module")
def characters(pieces: UnigramTokenizer) -> UnigramTokenizer:
    return pieces.for_characters()


def plain_ids(texts: list[str]) -> list[list[int]]:
    reference = Tokenizer.from_str(trained().to_str())
    reference.encode_special_tokens = True
    return [encoding.ids for encoding in reference.encode_batch(texts, add_special_tokens=False)]


def test_ids_are_those_of_tokenizers(pieces: UnigramTokenizer) -> None:
    texts = [text for text in TEXTS if text.strip() and text.isprintable()]
    assert len(texts) > 500
    blank = pieces.id("▁")
    for text, tokens, ids in zip(texts, pieces(texts), plain_ids(texts), strict=True):
        assert tokens.ids.tolist() == ids or set(ids) == {blank}, text


def covered(text: str, tokens: TokenizedText) -> list[str]:
    return [text[start:end] for start, end in tokens.offsets.tolist()]


@pytest.mark.parametrize("mode", ["pieces", "characters"])
def test_offsets_are_in_the_text_and_in_order(mode: str, request: pytest.FixtureRequest) -> None:
    tokenizer: UnigramTokenizer = request.getfixturevalue(mode)
    for text, tokens in zip(TEXTS, tokenizer(TEXTS), strict=True):
        starts, ends = tokens.offsets.T
        assert tokens.ids.dtype == np.int64 and tokens.offsets.dtype == np.int32
        assert (starts >= 0).all() and (starts < ends).all() and (ends <= len(text)).all(), text
        assert (np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all(), text


def test_a_token_covers_what_it_says(pieces: UnigramTokenizer) -> None:
    normalize = trained().normalizer.normalize_str
    for text, tokens in zip(TEXTS, pieces(TEXTS), strict=True):
        for id, source in zip(tokens.ids.tolist(), covered(text, tokens), strict=True):
            piece = pieces.token(id).removeprefix("▁")
            if id != pieces.unk_id and not any("\ud800" <= char <= "\udfff" for char in source):
                # One of several tokens of a character ("㎏"), or all of the characters.
                assert piece == normalize(source).strip(" ▁") or piece in normalize(source), (text, source)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("今天 天气", ["今天", "天气"]),
        ("  今天  天气 ", ["今天", "天气"]),
        ("今天\u3000天气", ["今天", "天气"]),
        ("the  park", ["the", "park"]),
        ("今天 cafe\u0301", ["今天", "cafe\u0301"]),
        ("㎏①", ["㎏①"]),
        ("ｶﾞ e\u0301\u0302x", ["ｶﾞ", "e\u0301\u0302x"]),
        ("a\u0301 b", ["a\u0301", "b"]),
        ("\ud800 今天", ["\ud800", "今天"]),
    ],
)
def test_blanks_belong_to_no_word(pieces: UnigramTokenizer, text: str, spans: list[str]) -> None:
    (tokens,) = pieces([text])
    inside = [False] * len(text)
    for start, end in tokens.offsets.tolist():
        if text[start:end].strip():
            inside[start:end] = [True] * (end - start)
    covered_text = "".join(c if is_inside else "\n" for c, is_inside in zip(text, inside, strict=True))
    assert covered_text.split() == spans


def test_by_character_no_token_covers_two_ideographs_or_symbols(characters: UnigramTokenizer) -> None:
    text = "《今天天气》不错！！iPhone 15 Pro，售价9,999元。ｶﾞ㎏😀👍"
    (tokens,) = characters([text])
    spans = covered(text, tokens)
    assert [span for span in spans if len(span) > 1 and not span.isascii()] == ["ｶﾞ"]
    assert "".join(spans) == text.replace(" ", "").replace("㎏", "㎏㎏")  # "kg" is two tokens
    assert characters.id("今") in tokens.ids.tolist() and characters.id("今天") not in tokens.ids.tolist()
    for other in TEXTS:
        for span in covered(other, characters([other])[0]):
            assert span.strip(" "), other
            assert sum("\u4e00" <= char <= "\u9fff" for char in span) <= 1, other


def test_by_character_words_keep_their_pieces(characters: UnigramTokenizer) -> None:
    text = "the park，iPhone"
    (tokens,) = characters([text])
    assert len(tokens.ids) < len("thepark，iPhone")


def test_special_tokens_in_a_text_are_ordinary_characters(
    pieces: UnigramTokenizer, characters: UnigramTokenizer
) -> None:
    texts = ["<mask>", "a</s>b <s> <pad>", "<unk>", "今天<mask>天气", "<mask> "]
    special = {pieces.pad_id, pieces.cls_id, pieces.sep_id, pieces.mask_id}
    for tokenizer in (pieces, characters):
        for text, tokens in zip(texts, tokenizer(texts), strict=True):
            assert len(tokens.ids) and not set(tokens.ids.tolist()) & special, text


def test_a_text_of_blanks_has_no_tokens(pieces: UnigramTokenizer, characters: UnigramTokenizer) -> None:
    for tokenizer in (pieces, characters):
        assert [len(tokens.ids) for tokens in tokenizer(["", " ", "\u3000 ", "▁"])] == [0, 0, 0, 0]


def test_vocabulary(pieces: UnigramTokenizer, characters: UnigramTokenizer) -> None:
    assert [pieces.token(id) for id in pieces.special_ids] == list(SPECIAL.names)
    assert pieces.special_ids == (0, 1, 2, 3, 4)
    assert pieces.vocab_size == characters.vocab_size == trained().get_vocab_size()
    assert all(pieces.id(pieces.token(id)) == id for id in range(pieces.vocab_size))
    assert pieces.fingerprint != characters.fingerprint
    assert characters.for_characters() is characters


def test_save_and_load(characters: UnigramTokenizer, tmp_path: Path) -> None:
    first, second = tmp_path / "tokenizer.json", tmp_path / "again.json"
    characters.save(first)
    loaded = load_tokenizer(first)
    loaded.save(second)
    assert first.read_bytes() == second.read_bytes()
    assert loaded.fingerprint == characters.fingerprint
    copied = pickle.loads(pickle.dumps(characters))
    for other in (loaded, copied):
        for ours, theirs in zip(characters(TEXTS[:300]), other(TEXTS[:300]), strict=True):
            assert ours.ids.tolist() == theirs.ids.tolist() and ours.offsets.tolist() == theirs.offsets.tolist()
    assert Tokenizer.from_file(str(first)).get_vocab_size() == characters.vocab_size


def test_one_text_at_a_time_is_the_same(pieces: UnigramTokenizer) -> None:
    for text, together in zip(TEXTS[:400], pieces(TEXTS[:400]), strict=True):
        (alone,) = pieces([text])
        assert alone.ids.tolist() == together.ids.tolist() and alone.offsets.tolist() == together.offsets.tolist()


def without_settings(document: dict[str, Any]) -> None:
    del document["model"][SETTINGS]


def without_mask(document: dict[str, Any]) -> None:
    document["model"][SETTINGS]["special"]["mask"] = "[MASK]"


def padding_elsewhere(document: dict[str, Any]) -> None:
    document["model"]["vocab"][:2] = document["model"]["vocab"][1::-1]


def reversed_pair(document: dict[str, Any]) -> None:
    pair = document["post_processor"]["pair"]
    pair[1], pair[4] = pair[4], pair[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_settings, "its model has no ernie_triton: it is a checkpoint's own file"),
        (without_mask, r"the vocabulary lacks \[MASK\]"),
        (padding_elsewhere, "<pad> has id 1, it must have 0"),
        (reversed_pair, "its post_processor reads two texts as"),
        (lambda document: document.update(post_processor=None), "its post_processor is no TemplateProcessing"),
        (lambda document: document["model"].update(type="BPE"), "its model is BPE; WordPiece and Unigram"),
        (lambda document: document["model"].update(vocab=3), "not a tokenizer.json"),
        (lambda document: document.pop("model"), "it has no model.type"),
    ],
)
def test_bad_files(change: Any, message: str, tmp_path: Path) -> None:
    document = published()
    change(document)
    path = tmp_path / "tokenizer.json"
    path.write_text(dumps(document), encoding="utf-8")
    with pytest.raises(VocabularyError, match=rf"tokenizer\.json: .*{message}") as caught:
        load_tokenizer(path)
    assert "\n" not in str(caught.value)
