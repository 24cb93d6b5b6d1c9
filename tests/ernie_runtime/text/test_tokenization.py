"""Ids against PaddleNLP, offsets against the text they point into."""

from __future__ import annotations

import hashlib
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ernie_runtime.text.tokenization import ErnieTokenizer, _categories

from ..hard_texts import HARD, SPECIAL, SPECIAL_INSIDE, VOCAB, code_points, fuzz, ids_of


def lowered(text: str) -> str:
    return "".join(char.lower() for char in text)


class Reference:
    """PaddleNLP's tokenizer."""

    def __init__(self, vocab: Path) -> None:
        pytest.importorskip("paddlenlp", reason="PaddleNLP is in the build extra")
        from paddlenlp.transformers import ErnieTokenizer as PaddleTokenizer

        self.paddle = PaddleTokenizer(vocab_file=str(vocab), do_lower_case=True)

    def ids(self, text: str) -> list[int]:
        return [int(i) for i in self.paddle(text)["input_ids"][1:-1]]

    def ids_without_special(self, text: str) -> list[int]:
        """What its __call__ does where it finds no special token in the text."""
        return [int(i) for i in self.paddle.convert_tokens_to_ids(self.paddle._tokenize(lowered(text)))]


@pytest.fixture(scope="module")
def every_letter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary in which every character has a token, so that ids tell characters apart."""
    chars = [chr(c) for c in range(0x20000) if not 0xD800 <= c < 0xE000 and c not in (0x0A, 0x0D)]
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("".join(f"{t}\n" for t in [*SPECIAL, *chars, *(f"##{c}" for c in chars)]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def reference() -> Iterator[Callable[[Path], Reference]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield Reference


def test_ids_are_paddlenlps(tokenizer: ErnieTokenizer, reference: Callable[[Path], Reference]) -> None:
    paddle = reference(VOCAB)
    texts = HARD + fuzz()
    wrong = [text for text, ids in zip(texts, ids_of(tokenizer, texts), strict=True) if paddle.ids(text) != ids]
    assert wrong == []


def test_special_tokens_in_a_text_are_ordinary_characters(
    tokenizer: ErnieTokenizer, reference: Callable[[Path], Reference]
) -> None:
    paddle = reference(VOCAB)
    for text, ids in zip(SPECIAL_INSIDE, ids_of(tokenizer, SPECIAL_INSIDE), strict=True):
        assert ids == paddle.ids_without_special(text)
        assert not set(ids) & {tokenizer.sep_id, tokenizer.cls_id, tokenizer.mask_id, tokenizer.pad_id}
    pieces = [tokenizer.token(i).removeprefix("##") for i in tokenizer(["[SEP]"])[0].ids]
    assert "".join(pieces) == "[sep]"


def test_fuzz_on_every_letter(every_letter: Path, reference: Callable[[Path], Reference]) -> None:
    """With no [UNK] to hide behind. A code point once inside a word and once alone."""
    ours, paddle = ErnieTokenizer.from_vocab(every_letter), reference(every_letter)
    codes = code_points(0x20000)
    texts = [" ".join(f"a{chr(c)}b {chr(c)}" for c in codes[i : i + 48]) for i in range(0, len(codes), 48)]
    texts += [text for text in HARD if text not in SPECIAL_INSIDE] + fuzz()[:300]
    wrong = [text for text, ids in zip(texts, ids_of(ours, texts), strict=True) if paddle.ids(text) != ids]
    assert wrong == []


@cache
def bare(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c) != "Mn" and not unicodedata.combining(c))


@cache
def readable(text: str) -> str:
    """The characters of a text that reach the vocabulary, without combining marks."""
    characters = (c for c in text if c in "\t\n\r" or (unicodedata.category(c)[0] != "C" and c != "\ufffd"))
    return bare(unicodedata.normalize("NFD", lowered("".join(characters))))


def test_offsets_point_at_the_source(tokenizer: ErnieTokenizer, every_letter: Path) -> None:
    texts = HARD + SPECIAL_INSIDE + fuzz()
    for some_tokenizer in (tokenizer, ErnieTokenizer.from_vocab(every_letter)):
        for text, tokenized in zip(texts, some_tokenizer(texts), strict=True):
            starts, ends = tokenized.offsets.T
            assert tokenized.ids.dtype == np.int64 and tokenized.offsets.dtype == np.int32
            assert tokenized.offsets.shape == (len(tokenized.ids), 2)
            assert (starts >= 0).all() and (starts < ends).all() and (ends <= len(text)).all(), text
            assert (np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all(), text
            covered = np.zeros(len(text), bool)
            for token, (start, end) in zip(tokenized.ids, tokenized.offsets.tolist(), strict=True):
                piece, source = bare(some_tokenizer.token(token).removeprefix("##")), readable(text[start:end])
                one_of_several = len(bare(text[start:end])) == 1 and piece in source
                assert token == some_tokenizer.unk_id or piece == source or one_of_several, text
                covered[start:end] = True
            uncovered = "".join(c for c, inside in zip(text, covered, strict=True) if not inside)
            assert readable(uncovered).split() == [], text


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("cafe\u0301 bar", ["cafe\u0301", "bar"]),
        ("café中", ["café", "中"]),
        ("a\0b \0中\0", ["a\0b", "中"]),
        ("葛\U000e0100飾", ["葛\U000e0100", "飾"]),
        ("👩\u200d💻❤\ufe0f!", ["👩", "💻", "❤\ufe0f", "!"]),
        ("  中  国 ", ["中", "国"]),
        ("\u0301中\u0301\u0302 \u0301国", ["中\u0301\u0302", "国"]),
        ("각" + "龘" + "ＡＢ", ["각", "龘", "ＡＢ"]),
        ("x" * 101 + "\u0301 国", ["x" * 101 + "\u0301", "国"]),
        ("\ud800中\udfff国", ["中", "国"]),
        ("İ中", ["İ", "中"]),
    ],
)
def test_spans(tokenizer: ErnieTokenizer, text: str, spans: list[str]) -> None:
    words: list[list[int]] = []
    (tokenized,) = tokenizer([text])
    for token, (start, end) in zip(tokenized.ids.tolist(), tokenized.offsets.tolist(), strict=True):
        if tokenizer.token(token).startswith("##"):
            words[-1][1] = end
        else:
            words.append([start, end])
    assert [text[start:end] for start, end in words] == spans


def test_one_text_at_a_time_is_the_same(tokenizer: ErnieTokenizer) -> None:
    texts = HARD + fuzz()[:300]
    for text, together in zip(texts, tokenizer(texts), strict=True):
        (single,) = tokenizer([text])
        assert single.ids.tolist() == together.ids.tolist()
        assert single.offsets.tolist() == together.offsets.tolist()
    assert tokenizer([]) == []
    assert [len(t.ids) for t in tokenizer(["", "中", " "])] == [0, 1, 0]


def test_the_last_of_repeated_lines_counts(tmp_path: Path, reference: Callable[[Path], Reference]) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("\r\n".join([*SPECIAL, "$", "中", "$", "国", "$", ""]), encoding="utf-8")
    ours = ErnieTokenizer.from_vocab(path)
    assert ids_of(ours, ["$中国"]) == [[9, 6, 8]] == [reference(path).ids("$中国")]
    assert (ours.vocab_size, ours.id("$"), ours.token(5), ours.token(7)) == (10, 9, "$", "$")
    ours.save(tmp_path / "tokenizer.json")
    loaded = ErnieTokenizer.from_file(tmp_path / "tokenizer.json")
    assert (loaded.vocab_size, loaded.id("$"), loaded.token(5)) == (10, 9, "$")
    assert (
        loaded.fingerprint == ours.fingerprint == hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    )


def test_the_categories_that_are_not_asked_for() -> None:
    """Planes that Unicode has not assigned, or leaves to private use, hold what is deleted: C."""
    assert _categories()[::2] == "".join(unicodedata.category(chr(code))[0] for code in range(0x110000))
