"""Text as editors, spreadsheets and old tools save it: encodings, byte order marks, line ends, compression."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from ernie_runtime.errors import TextFileError
from ernie_runtime.text_files import decode, guess_encoding, read_text

CHINESE = "这是一个关于大学的故事，他们在那里学习了很多年。我不知道为什么。"
TRADITIONAL = "這是一個關於大學的故事，他們在那裡學習了很多年。我不知道為什麼。"
JAPANESE = "これは大学についての物語です。彼らはそこで長い間学びました。"


@pytest.mark.parametrize("text", [CHINESE, "内容,标签\n好,1\n差,0\n", "text\tlabel\n房间很好\t1\n差评\t0\n", "5分"])
@pytest.mark.parametrize(
    ("encoding", "read_as"),
    [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("utf-16", "UTF-16"), ("gbk", "GB18030"), ("gb18030", "GB18030")],
)
def test_encodings_that_are_read(text: str, encoding: str, read_as: str) -> None:
    decoded = decode(text.encode(encoding), "file")
    assert (decoded.text, decoded.encoding) == (text, read_as)
    assert decoded.note == ("" if read_as == "UTF-8" else f"read as {read_as}")


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"PK\x03\x04....", "a zip archive or an Office document"),
        (b"Rar!\x1a\x07\x01\x00", "a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (bz2.compress(b"text"), "a bzip2 file"),
        (b"\x00" * 257 + b"ustar", "a tar archive"),
        (gzip.compress(b"\x00" * 257 + b"ustar", mtime=0), "a tar archive"),
        (b"%PDF-1.5\n", "a PDF"),
        (b"\x89PNG\r\n\x1a\n", "a picture"),
        (b"PAR1....PAR1", "a parquet file"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, raw: bytes, what: str) -> None:
    (tmp_path / "a").write_bytes(raw)
    with pytest.raises(TextFileError) as raised:
        read_text(tmp_path / "a")
    assert str(raised.value) == f"{tmp_path / 'a'}: {what}, no text: unpack it, or save what it holds as CSV UTF-8"


@pytest.mark.parametrize("text", ["BZhang, 你好", "PAR1,标签\n", "PK 赛", "7z 是什么", "%PDF 怎么打开"])
def test_text_that_begins_like_them_is_text(text: str) -> None:
    assert decode(text.encode(), "f").text == text


@pytest.mark.parametrize(
    ("text", "encoding", "likely"),
    [
        (CHINESE, "gbk", "GB18030"),
        (TRADITIONAL, "big5", "BIG5"),
        (JAPANESE, "euc-jp", "EUC-JP"),
        (CHINESE, "utf-16", "UTF-16"),
        (CHINESE, "utf-16-le", "UTF-16LE"),
        (CHINESE, "utf-16-be", "UTF-16BE"),
        ("plain English text, twice the bytes", "utf-16-be", "UTF-16BE"),
        ("Düsseldorf, café", "latin-1", ""),
    ],
)
def test_another_encoding_is_named(text: str, encoding: str, likely: str) -> None:
    assert guess_encoding((text * 20).encode(encoding)) == likely


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"ab\n" + TRADITIONAL.encode("big5"), "f:2: byte 0 of the line (byte 3 of the file, 0xb3) is not UTF-8; it"),
        (TRADITIONAL.encode("big5"), "it looks like BIG5: convert it with `iconv -f BIG5 -t UTF-8`"),
        (
            "abc".encode("utf-16-le"),
            "f:1: byte 1 of the line (byte 1 of the file, 0x00) is not UTF-8; it looks like UT",
        ),
        (
            b"caf\xe9 au lait\n" * 40,
            "f:1: byte 3 of the line (byte 3 of the file, 0xe9) is not UTF-8; convert the file",
        ),
        (("好" * 200).encode() + b"\n\xff", "f:2: byte 0 of the line (byte 601 of the file, 0xff) is not UTF-8, and t"),
        # Lines of two encodings: as either of them, the others would be nonsense.
        ("第一行\n第二行\nabc".encode() + (CHINESE * 9).encode("gbk"), "f:3: byte 3 of the line"),
        (
            CHINESE.encode("gbk") + b"\n\xff\xff",
            "f:2: byte 0 of the line (byte 65 of the file, 0xff) is not GB18030, and",
        ),
    ],
)
def test_others_are_refused_with_their_place(raw: bytes, message: str) -> None:
    with pytest.raises(TextFileError) as raised:
        decode(raw, "f")
    assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("\ufeffa\r\n\r\nb\r\n", ["a", "", "b"]),
        ("a\rb\r", ["a", "b"]),  # an old Macintosh
        ("a\rb\nc", ["a\rb", "c"]),
        ("a\u2028b\x85c\x0cd \n", ["a\u2028b\x85c\x0cd "]),
    ],
)
def test_line_ends(raw: str, lines: list[str]) -> None:
    assert list(decode(raw.encode(), "f").lines()) == list(enumerate(lines, 1))


def test_compressed_files_are_unpacked_whatever_their_name(tmp_path: Path) -> None:
    for pack in (gzip.compress, lzma.compress):
        path = tmp_path / "rows.csv"
        path.write_bytes(pack(CHINESE.encode("gbk")))
        assert read_text(path).text == CHINESE
        path.write_bytes(pack(CHINESE.encode())[:-9])
        with pytest.raises(TextFileError, match=r"rows\.csv: cannot be unpacked"):
            read_text(path)
        other = tmp_path / "rows.gz"
        other.write_bytes(b"plain")
        with pytest.raises(TextFileError, match=r"rows\.gz: cannot be unpacked \(it is no \.gz file\)"):
            read_text(other)
    with pytest.raises(TextFileError, match="none: no such file"):
        read_text(tmp_path / "none")
    with pytest.raises(TextFileError, match="cannot be read"):
        read_text(tmp_path)
