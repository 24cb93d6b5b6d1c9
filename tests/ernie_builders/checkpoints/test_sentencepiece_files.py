"""Directories with SentencePiece's files give the ids of SentencePiece and of PaddleNLP's tokenizers."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece

from ernie_builders.checkpoints.tokenizer_files import read_tokenizer, write_tokenizer
from ernie_builders.errors import CheckpointError
from ernie_runtime.text.tokenizer_file import load_tokenizer
from ernie_runtime.text.unigram import UnigramTokenizer

from ...ernie_runtime.hard_texts import HARD, fuzz
from ..sentencepiece_folders import (
    sample_texts,
    train,
    write_ernie_m,
    write_ernie_tiny,
    write_xlm_r,
)

Folders = dict[str, Path]
Ids = Callable[[str], list[int]]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    hard = [text for text in HARD + fuzz()[::3] if not any("\ud800" <= char <= "\udfff" for char in text)]
    return [*sample_texts(), *hard]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    root, lines = tmp_path_factory.mktemp("folders"), sample_texts()
    writers = {"xlm_r": write_xlm_r, "ernie_m": write_ernie_m, "ernie_tiny": write_ernie_tiny}
    return {name: write(root / name, lines) for name, write in writers.items()}


@pytest.fixture(scope="module")
def transformers() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import paddlenlp.transformers

        yield paddlenlp.transformers


def assert_same(folder: Path, texts: list[str], reference: Ids, by_character: bool = False) -> None:
    """Ids of the directory; a pad token that was not 0 there has changed places with id 0."""
    stored = read_tokenizer(folder)
    tokenizer = stored.tokenizer.for_characters() if by_character else stored.tokenizer
    places = {0: stored.pad_id, stored.pad_id: 0}
    for text, tokens in zip(texts, tokenizer(texts), strict=True):
        assert [places.get(id, id) for id in tokens.ids.tolist()] == reference(text), text
        starts, ends = tokens.offsets.T
        assert (starts >= 0).all() and (starts < ends).all() and (ends <= len(text)).all(), text
        assert (np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all(), text


def test_xlm_r_has_the_ids_of_fairseq(folders: Folders, texts: list[str]) -> None:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folders["xlm_r"] / "sentencepiece.bpe.model"))
    first = {0: 3, 1: 0, 2: 2}
    assert_same(folders["xlm_r"], texts, lambda text: [first.get(id, id + 1) for id in processor.encode(text)])
    tokenizer = read_tokenizer(folders["xlm_r"]).tokenizer
    assert [tokenizer.token(id) for id in range(4)] == ["<pad>", "<s>", "</s>", "<unk>"]
    assert tokenizer.mask_id == tokenizer.vocab_size - 1 == processor.get_piece_size() + 1
    assert tokenizer.pair.between == (2, 2) and tokenizer.pair.second_type == 0


def test_ernie_m_has_the_ids_of_paddlenlp(folders: Folders, texts: list[str], transformers: Any) -> None:
    folder = folders["ernie_m"]
    paddle = transformers.ErnieMTokenizer(str(folder / "vocab.txt"), str(folder / "sentencepiece.bpe.model"))
    assert_same(folder, texts, lambda text: list(map(int, paddle.convert_tokens_to_ids(paddle._tokenize(text)))))
    tokenizer = read_tokenizer(folder).tokenizer
    pair = paddle("今天", "天气")["input_ids"]
    assert [token for token in pair if token in paddle.all_special_ids] == [0, 2, 2, 2]
    assert [tokenizer.token(id) for id in tokenizer.pair.between] == ["[SEP]", "[SEP]"]


@pytest.mark.filterwarnings("ignore")  # PaddleNLP leaves the dictionary open
def test_ernie_tiny_has_the_ids_of_paddlenlp(folders: Folders, texts: list[str], transformers: Any) -> None:
    folder = folders["ernie_tiny"]
    files = ("vocab.txt", "spm_cased_simp_sampled.model", "dict.wordseg.pickle")
    paddle = transformers.ErnieTinyTokenizer(*(str(folder / name) for name in files))

    def ids(text: str) -> list[int]:
        lowered = "".join(char.lower() for char in text)  # what its __call__ does where it finds no special token
        return list(map(int, paddle.convert_tokens_to_ids(paddle._tokenize(lowered))))

    blank = paddle.convert_tokens_to_ids("▁")
    assert_same(folder, texts, ids)
    # As PaddleNLP tokenizes a list of characters to label, without the tokens that stand for no character.
    sentences = sample_texts()[:200]
    assert_same(
        folder, sentences, lambda text: [id for char in text for id in ids(char) if id != blank], by_character=True
    )


@pytest.mark.parametrize("name", ["xlm_r", "ernie_m", "ernie_tiny"])
@pytest.mark.parametrize("by_character", [False, True])
def test_what_is_published_is_the_same(
    name: str, by_character: bool, folders: Folders, texts: list[str], tmp_path: Path
) -> None:
    tokenizer = read_tokenizer(folders[name]).tokenizer
    tokenizer = tokenizer.for_characters() if by_character else tokenizer
    path = write_tokenizer(tmp_path, tokenizer)
    loaded, read = load_tokenizer(path), read_tokenizer(tmp_path).tokenizer
    assert loaded.fingerprint == read.fingerprint == tokenizer.fingerprint and path.name == "tokenizer.json"
    for ours, theirs in zip(tokenizer(texts[:900]), loaded(texts[:900]), strict=True):
        assert ours.ids.tolist() == theirs.ids.tolist() and ours.offsets.tolist() == theirs.offsets.tolist()


@pytest.mark.parametrize("name", ["xlm_r", "ernie_m", "ernie_tiny"])
def test_by_character_no_token_covers_two_ideographs(name: str, folders: Folders, texts: list[str]) -> None:
    tokenizer = read_tokenizer(folders[name]).tokenizer.for_characters()
    for text, tokens in zip(texts, tokenizer(texts), strict=True):
        for start, end in tokens.offsets.tolist():
            assert sum("\u4e00" <= char <= "\u9fff" for char in text[start:end]) <= 1, text


@pytest.mark.parametrize("name", ["xlm_r", "ernie_m", "ernie_tiny"])
def test_spans_of_composed_characters(name: str, folders: Folders) -> None:
    text = "ｶﾞ cafe\u0301  今天㎏ x"
    (tokens,) = read_tokenizer(folders[name]).tokenizer([text])
    covered = {index for start, end in tokens.offsets.tolist() for index in range(start, end)}
    assert covered >= {index for index, char in enumerate(text) if char != " "}


def replaced(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


class Harmful:
    """Unpickled by `pickle` itself, it would write a file."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("harm.txt", "w")


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (
            "xlm_r",
            replaced("sentencepiece.bpe.model", b"no model"),
            "not a SentencePiece model",
        ),
        ("xlm_r", replaced("sentencepiece.bpe.model", b""), "not a SentencePiece model"),
        ("xlm_r", replaced("tokenizer_config.json", b"{}"), "alone it does not say the ids"),
        ("xlm_r", replaced("tokenizer_config.json", b"{"), "tokenizer_config.json: not JSON"),
        ("xlm_r", replaced("tokenizer_config.json", b'{"tokenizer_class": "T5Tokenizer"}'), 'tokenizer_class "T5Tok'),
        ("ernie_m", replaced("vocab.txt", b"[CLS]\n[PAD]\n"), r"the vocabulary lacks \[SEP\], \[UNK\], \[MASK\]"),
        ("ernie_m", replaced("tokenizer_config.json", b'{"mask_token": "<m>"}'), "the vocabulary lacks <m>"),
        ("ernie_m", lambda folder: (folder / "sentencepiece.bpe.model").unlink(), "no .*|No such file"),
        ("ernie_tiny", replaced("dict.wordseg.pickle", b"junk"), "not a pickled dictionary of words"),
        ("ernie_tiny", replaced("dict.wordseg.pickle", pickle.dumps({1: 2})), "not a pickled dictionary of words"),
        ("ernie_tiny", replaced("dict.wordseg.pickle", pickle.dumps(Harmful())), "it asks for .*open"),
        ("ernie_tiny", replaced("tokenizer_config.json", b'{"do_lower_case": false}'), "do_lower_case false"),
        ("ernie_tiny", lambda folder: (folder / "spm_cased_simp_sampled.model").unlink(), "model: No such file"),
    ],
)
def test_bad_directories(
    kind: str, change: Callable[[Path], object], message: str, folders: Folders, tmp_path: Path
) -> None:
    for path in folders[kind].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    change(tmp_path)
    if message.startswith("no .*"):  # what is left is a WordPiece vocabulary whose padding is elsewhere
        message = r"\[PAD\] has id 1"
    with pytest.raises(CheckpointError, match=message) as caught:
        read_tokenizer(tmp_path)
    assert "\n" not in str(caught.value) and not Path("harm.txt").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_type": "bpe"}, "its model is BPE; unigram is supported"),
        ({"user_defined_symbols": ["<x>"]}, "it has user-defined pieces, such as '<x>'"),
        ({"byte_fallback": True}, r"it has pieces of bytes \(byte_fallback\)"),
        ({"treat_whitespace_as_suffix": True}, "treat_whitespace_as_suffix is not supported"),
        ({"bos_id": -1}, "its first pieces are <unk>, "),
    ],
)
def test_models_of_another_kind(options: dict[str, Any], message: str, folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_bytes((folders["xlm_r"] / "tokenizer_config.json").read_bytes())
    (tmp_path / "sentencepiece.bpe.model").write_bytes(train(sample_texts(), **options))
    with pytest.raises(CheckpointError, match=rf"sentencepiece\.bpe\.model: {message}"):
        read_tokenizer(tmp_path)


@pytest.mark.parametrize("rule", ["identity", "nfkc_cf"])
def test_other_rules_of_normalization(rule: str, tmp_path: Path, texts: list[str]) -> None:
    options = {"normalization_rule_name": rule, "add_dummy_prefix": False, "remove_extra_whitespaces": False}
    folder = write_xlm_r(tmp_path / "model", sample_texts(), **options)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.bpe.model"))
    stored = read_tokenizer(folder)
    assert isinstance(stored.tokenizer, UnigramTokenizer)
    places = {0: 3, 1: 1, 2: 2}
    for text, tokens in zip(texts, stored.tokenizer(texts), strict=True):
        expected = [places.get(id, id + 1) for id in processor.encode(text)]
        assert tokens.ids.tolist() == expected, text
