"""Plain text: documents, sentences, words, phrases; and text that is not UTF-8."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ernie_builders.errors import ConfigError, DataError
from ernie_builders.pretraining.corpus.packed import packed_file, read_packed
from ernie_builders.pretraining.corpus.text import read_text, text_files
from ernie_builders.pretraining.corpus.words import find_segmenter
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..command_line import OneLine

TEXT = "北京大学的学生喜欢学习。他们在图书馆看书！\n今天天气很好\n\n\n我爱自然语言处理iPhone15。\n"


def units(text: str, tokenizer: ErnieTokenizer, folder: Path, **options: Path) -> list[str]:
    """The units of a text, each as its tokens joined."""
    (folder / "t.txt").write_text(text, encoding="utf-8")
    stream = read_text([folder / "t.txt"], tokenizer, find_segmenter("jieba", **options))
    token_units: list[str] = []
    for id, start in zip(stream.ids.tolist(), stream.starts.tolist(), strict=True):
        token_units[len(token_units) - (not start) :] = [
            ("" if start else token_units[-1]) + tokenizer.token(id).removeprefix("##")
        ]
    return token_units


def test_documents_sentences_and_words(embedded_tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(TEXT, encoding="utf-8")
    stream = read_text([tmp_path / "t.txt"], embedded_tokenizer, find_segmenter("jieba"))
    assert stream.document_count == 2
    sentences = [
        "".join(embedded_tokenizer.token(int(id)).removeprefix("##") for id in stream.ids[start:end])
        for start, end in zip(stream.sentences, stream.sentences[1:], strict=False)
    ]
    assert sentences == [
        "北京大学的学生喜欢学习。",
        "他们在图书馆看书！",
        "今天天气很好",
        "我爱自然语言处理iphone15。",
    ]
    assert int(stream.documents[1]) == int(stream.sentences[3])
    assert units(TEXT, embedded_tokenizer, tmp_path)[:5] == ["北京大学", "的", "学生", "喜欢", "学习"]


def test_phrases_are_units(embedded_tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("自然语言\n自然语言处理\n喜欢学习\n", encoding="utf-8")
    plain = units(TEXT, embedded_tokenizer, tmp_path)
    with_phrases = units(TEXT, embedded_tokenizer, tmp_path, phrases=tmp_path / "p.txt")
    assert "喜欢学习" in with_phrases and "自然语言处理" in with_phrases
    assert "喜欢学习" not in plain and "自然语言处理" not in plain
    assert "".join(with_phrases) == "".join(plain)


def test_without_a_segmenter_word_pieces_stay_together(embedded_tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("北京antidisestablishment", encoding="utf-8")
    stream = read_text([tmp_path / "t.txt"], embedded_tokenizer, find_segmenter("none"))
    assert stream.starts.tolist() == [True, True, True] + [False] * (len(stream) - 3)
    assert len(stream) > 4
    with pytest.raises(ConfigError, match="--segmenter lac: expected jieba or none"):
        find_segmenter("lac")


def test_files_may_be_packed_and_in_folders(embedded_tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    plain, folder = tmp_path / "one.txt", tmp_path / "more"
    folder.mkdir()
    plain.write_bytes(b"\xef\xbb\xbf" + TEXT.encode().replace(b"\n", b"\r\n"))  # as Windows has it
    (folder / "a.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    (folder / "b.txt.xz").write_bytes(lzma.compress(TEXT.encode()))
    (folder / "notes.md").write_text("no text", encoding="utf-8")
    files = text_files([plain, folder])
    assert [path.name for path in files] == ["one.txt", "a.txt.gz", "b.txt.xz"]
    streams = [read_text([path], embedded_tokenizer, find_segmenter("none")) for path in files]
    combined = read_text(files, embedded_tokenizer, find_segmenter("none"))
    assert combined.document_count == 6
    for stream in streams:
        np.testing.assert_array_equal(stream.ids, streams[0].ids)
    np.testing.assert_array_equal(combined.ids, np.concatenate([stream.ids for stream in streams]))


TRADITIONAL = "這是一個關於大學的故事，他們在那裡學習了很多年。我不知道為什麼。"


def test_where_the_wrong_byte_is(
    embedded_tokenizer: ErnieTokenizer, tmp_path: Path, text_run: Callable, one_line: OneLine
) -> None:
    wrong = tmp_path / "big5.txt"
    head = b"first\nsecond\nabc"
    wrong.write_bytes(head + (TRADITIONAL * 9).encode("big5"))
    place = f"{wrong}:3: byte 3 of the line (byte {len(head)} of the file, 0xb3) is not UTF-8; it looks like BIG5"
    with pytest.raises(DataError) as raised:
        read_text([wrong], embedded_tokenizer, find_segmenter("none"))
    assert str(raised.value).startswith(place)
    one_line(text_run("run")("--data", str(wrong)), place, "iconv -f BIG5 -t UTF-8")
    utf16 = tmp_path / "utf16.txt"
    utf16.write_bytes("abc def\n".encode("utf-16-le"))
    one_line(text_run("run")("--data", str(utf16)), ":1: byte 1 of the line", "is not UTF-8; it looks like UTF-16LE")
    noise = tmp_path / "noise.txt"
    noise.write_bytes(b"caf\xe9 au lait\n" * 40)
    one_line(text_run("run")("--data", str(noise)), ":1: byte 3 of the line", "is not UTF-8; convert the file")


def test_packed_ids(tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    full_stop = tokenizer.id("。")
    assert full_stop is not None
    continuation = 0x8000
    packed = [2, 40, 41 | continuation, full_stop, 42, 2, 2, 43, 44 | continuation, 45, 2, 46]
    (tmp_path / "tokens.u16.xz").write_bytes(lzma.compress(np.array(packed, "<u2").tobytes()))
    stream = read_packed(packed_file(tmp_path), tokenizer)
    assert stream.ids.tolist() == [40, 41, full_stop, 42, 43, 44, 45, 46]
    assert stream.starts.tolist() == [True, False, True, True, True, False, True, True]
    assert stream.documents.tolist() == [0, 4, 7, 8]
    assert stream.sentences.tolist() == [0, 3, 4, 7, 8]
    plain = tmp_path / "tokens.u16"
    for content, message in (
        (b"", "0 bytes unpacked"),
        (b"abc", "3 bytes unpacked"),
        (np.array([2, 2], "<u2").tobytes(), "the corpus is empty"),
        (np.array([5, 4000], "<u2").tobytes(), "token 1 has id 4000, the vocabulary has 400 entries"),
    ):
        plain.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_packed(packed_file(tmp_path), tokenizer)
    with pytest.raises(DataError, match=r"has no tokens\.u16 or tokens\.u16\.xz"):
        packed_file(tmp_path.parent)
