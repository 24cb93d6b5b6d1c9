"""The files of a tokenizer: a vocabulary read, saved and loaded, or refused by one line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer

from ernie_runtime.errors import VocabularyError
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..hard_texts import HARD, SPECIAL, VOCAB, fuzz, ids_of


def test_vocabulary(tokenizer: ErnieTokenizer) -> None:
    lines = VOCAB.read_text(encoding="utf-8").split("\n")[:-1]
    assert tokenizer.vocab_size == len(lines)
    assert [tokenizer.token(i) for i in range(len(lines))] == lines
    assert all(tokenizer.id(line) == i for i, line in enumerate(lines))
    assert [tokenizer.token(i) for i in (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id)] == SPECIAL[:3]
    assert [tokenizer.token(i) for i in (tokenizer.mask_id, tokenizer.unk_id)] == SPECIAL[3:]
    assert tokenizer.fingerprint == hashlib.sha256(VOCAB.read_bytes()).hexdigest()
    assert tokenizer.id("no such token") is None
    for id in (-1, len(lines)):
        with pytest.raises(IndexError):
            tokenizer.token(id)


def test_save_and_load(tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    first, second = tmp_path / "tokenizer.json", tmp_path / "again.json"
    tokenizer.save(first)
    loaded = ErnieTokenizer.from_file(first)
    loaded.save(second)
    assert first.read_bytes() == second.read_bytes()
    ErnieTokenizer.from_vocab(VOCAB).save(second)
    assert first.read_bytes() == second.read_bytes()
    assert loaded.fingerprint == tokenizer.fingerprint
    texts = HARD + fuzz()[:500]
    for a, b in zip(tokenizer(texts), loaded(texts), strict=True):
        assert a.ids.tolist() == b.ids.tolist() and a.offsets.tolist() == b.offsets.tolist()
    assert Tokenizer.from_file(str(first)).encode("今天").ids == ids_of(tokenizer, ["今天"])[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        ("[PAD]\n[CLS]\n[SEP]\n中\n".encode(), r"lacks \[UNK\], \[MASK\]"),
        ("\n".join(["中", *SPECIAL]).encode(), r"\[PAD\] has id 1"),
        ("\n".join([*SPECIAL, "中"]).encode("gb18030"), "not UTF-8"),
        ("\n".join([*SPECIAL, "中"]).encode("utf-8-sig"), r"lacks \[PAD\]"),
        (None, "No such file"),
    ],
)
def test_bad_vocabularies(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VocabularyError, match=rf"vocab\.txt: .*{message}") as caught:
        ErnieTokenizer.from_vocab(path)
    assert "\n" not in str(caught.value)


def test_bad_tokenizer_files(tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(VocabularyError, match=r"tokenizer\.json: "):
        ErnieTokenizer.from_file(path)
    path.write_text("{}")
    with pytest.raises(VocabularyError, match=r"not a tokenizer\.json"):
        ErnieTokenizer.from_file(path)
    tokenizer.save(path)
    cutting = Tokenizer.from_file(str(path))
    cutting.add_special_tokens([AddedToken("[SEP]")])
    cutting.save(str(path))
    with pytest.raises(VocabularyError, match="special tokens"):
        ErnieTokenizer.from_file(path)
