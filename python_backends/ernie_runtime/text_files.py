"""Files of text, for everything that reads them: compression, encoding, byte order mark, line ends.

- gzip and xz are unpacked, whatever the name says: their first bytes tell. A `.gz` or `.xz` that is none is a fault.
- UTF-8 is read with or without a byte order mark, UTF-16 with one. GB18030 (and GBK, GB2312) is read where the bytes
  are no UTF-8 and make sense as Chinese; `Decoded.note` says so. Anything else is refused with its line and byte.
- A line ends with LF or CR LF; with CR alone in a file that has no LF. U+2028, U+0085 and form feeds are text.
- A line of blanks only is a blank line. Blanks elsewhere are part of the text.

Standard library only, so that a client needs nothing else of this package.
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .errors import TextFileError

SAMPLE = 1 << 20  # bytes from the start that an encoding is guessed from
GZIP, XZ = b"\x1f\x8b", b"\xfd7zXZ\x00"
FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Office document",
    b"Rar!\x1a\x07": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"\xd0\xcf\x11\xe0": "an Office document of before 2007, or one with a password",
    b"%PDF-": "a PDF",
    b"{\\rtf": "an RTF document",
    b"SQLite format 3\x00": "a database",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF89a": "a picture",
    b"\x93NUMPY": "an array of NumPy",
    b"\x80\x04\x95": "a pickle",
    b"\x7fELF": "a program",
}
"""What files that are often taken for text begin with, and what they are."""
TAR, BZIP2, PARQUET = b"ustar", b"1AY&SY", b"PAR1"  # at byte 257, at byte 4, at both ends
UTF8, UTF16, GB18030 = "UTF-8", "UTF-16", "GB18030"
MIN_SENSE = 0.7  # share of common characters in the right decoding of a text, among those beyond ASCII
MAX_FAULTS = 1 / 20  # share of the characters beyond ASCII that may be undecodable in a file of that encoding
MAX_UTF8_LINES = 1 / 10  # share of the lines beyond ASCII that are UTF-8 by chance in a file of another encoding


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A file's text without its byte order mark."""

    text: str
    encoding: str = UTF8

    @property
    def note(self) -> str:
        """What a person should know; empty for UTF-8."""
        return "" if self.encoding == UTF8 else f"read as {self.encoding}"

    def lines(self) -> Iterator[tuple[int, str]]:
        """(number from 1, line without its end) of each line; nothing after the last line end."""
        return ((number, line[:-1]) for number, line in enumerate(whole_lines(self.text), 1))


def split_lines(text: str) -> list[str]:
    """The lines of a text without their ends; the last one is empty where the text ends with a line end."""
    if "\r" not in text:
        return text.split("\n")
    if "\n" not in text:
        return text.split("\r")
    return [line.removesuffix("\r") for line in text.split("\n")]


def whole_lines(text: str) -> Iterator[str]:
    """The lines of a text, each with LF at its end, whatever it had; nothing after the last line end."""
    pieces = split_lines(text)
    return (f"{piece}\n" for piece in (pieces if pieces[-1] else pieces[:-1]))


def read_bytes(path: Path) -> bytes:
    """A file's bytes, unpacked; TextFileError where it cannot be read or unpacked."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise TextFileError(f"{path}: no such file") from None
    except OSError as error:
        raise TextFileError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        expected = {".gz": GZIP, ".xz": XZ}.get(path.suffix, b"")
        if not raw.startswith(expected):
            raise TextFileError(f"{path}: cannot be unpacked (it is no {path.suffix} file)")
        if raw.startswith(GZIP):
            return gzip.decompress(raw)
        return lzma.decompress(raw) if raw.startswith(XZ) else raw
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise TextFileError(f"{path}: cannot be unpacked ({error})") from None


def read_text(path: Path) -> Decoded:
    """The text of a file; TextFileError (file, line, byte, what to do) where it has none of the encodings."""
    return decode(read_bytes(path), str(path))


def decode(raw: bytes, name: str) -> Decoded:
    """The text of a file's bytes; name: of the file, for messages."""
    if no_text := foreign_fault(raw, name):
        raise TextFileError(no_text)
    encoding = encoding_of(raw[:SAMPLE])
    try:
        if encoding != UTF8 or b"\x00" not in raw[:SAMPLE]:
            return Decoded(text=raw.decode("utf-8-sig" if encoding == UTF8 else encoding), encoding=encoding)
    except UnicodeDecodeError:
        pass
    raise TextFileError(fault(raw, name, encoding))


def foreign_fault(raw: bytes, name: str) -> str:
    """One line about a file that is no text, from its bytes; empty for what may be text. name: for the message."""
    kind = _foreign(raw)
    return f"{name}: {kind}, no text: unpack it, or save what it holds as CSV UTF-8" if kind else ""


def _foreign(raw: bytes) -> str:
    if raw[257:262] == TAR:
        return "a tar archive"
    if raw[4:10] == BZIP2:
        return "a bzip2 file"
    if raw.startswith(PARQUET) and raw.endswith(PARQUET):
        return "a parquet file"
    return next((kind for magic, kind in FOREIGN.items() if raw.startswith(magic)), "")


def encoding_of(sample: bytes) -> str:
    """UTF8, UTF16 or GB18030, from the first bytes of a file: the encoding to read it with.

    A few wrong bytes do not make a file one of another encoding: they are faults of their lines.
    """
    if sample.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return UTF16
    return GB18030 if not _is_utf8(sample) and guess_encoding(sample) == GB18030 else UTF8


def fault(raw: bytes, name: str, encoding: str) -> str:
    """Where the bytes are not of the encoding, and what to do about it."""
    sample = raw[:SAMPLE]
    start = sample.find(b"\x00") if encoding == UTF8 else -1
    try:
        raw.decode("utf-8" if encoding == UTF8 else encoding)
    except UnicodeDecodeError as error:
        start = error.start if start < 0 else min(start, error.start)
    line, column = raw.count(b"\n", 0, start) + 1, start - (raw.rfind(b"\n", 0, start) + 1)
    where = (
        f"{name}:{line}: byte {column} of the line (byte {start:,} of the file, 0x{raw[start]:02x}) is not {encoding}"
    )
    if encoding != UTF8 or _is_utf8(sample):
        return f"{where}, and the file is otherwise: correct the line"
    if likely := guess_encoding(sample):
        return f"{where}; it looks like {likely}: convert it with `iconv -f {likely} -t UTF-8`"
    if not raw[start]:
        return f"{where}, but a byte that no text has: correct the line, if the file is one of text"
    return f"{where}; convert the file with `iconv -f ITS_ENCODING -t UTF-8`"


def guess_encoding(sample: bytes) -> str:
    """The encoding that fits bytes that are not UTF-8 best; empty if none fits."""
    if sample.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return UTF16
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if max(even, odd) > len(sample) // 20:
        return "UTF-16LE" if odd > even else "UTF-16BE"
    scores = {name: _sense(sample, name) for name in (GB18030, "BIG5", "EUC-JP", "UTF-16LE", "UTF-16BE")}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > MIN_SENSE else ""


def _is_utf8(sample: bytes) -> bool:
    """Whether a file is UTF-8, but for a few wrong bytes; bytes of other encodings may be UTF-8 by chance."""
    if b"\x00" in sample:
        return False
    foreign = _beyond_ascii(sample, "utf-8")
    if foreign.count("\ufffd") <= len(foreign) * MAX_FAULTS:
        return True
    lines = [line for line in sample.split(b"\n")[:-1] if not line.isascii()]
    return sum(map(_decodes, lines)) > len(lines) * MAX_UTF8_LINES


def _decodes(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _beyond_ascii(sample: bytes, encoding: str) -> list[str]:
    """The characters beyond ASCII of the sample, whose last character may be cut off; U+FFFD for wrong bytes."""
    text = getincrementaldecoder(encoding)("replace").decode(sample, final=False)
    return [char for char in text if char > "\x7f"]


def _sense(sample: bytes, encoding: str) -> float:
    """The share of the encoding's common characters among those beyond ASCII; 0 if too many cannot be decoded."""
    foreign = _beyond_ascii(sample, encoding)
    if not foreign or foreign.count("\ufffd") > len(foreign) * MAX_FAULTS:
        return 0.0
    common = _common(encoding)
    return sum(char in common for char in foreign) / len(foreign)


@cache
def _common(encoding: str) -> frozenset[str]:
    """The characters that text in an encoding is mostly made of: its first plane of ideographs, and punctuation."""
    if encoding.startswith("UTF-16"):
        return _common(GB18030) | _common("BIG5")
    planes = {
        GB18030: ((0xA1, 0xA3), (0xB0, 0xD7)),  # GB 2312, level 1
        "BIG5": ((0xA1, 0xA3), (0xA4, 0xC6)),
        "EUC-JP": ((0xA1, 0xA5), (0xB0, 0xCF)),  # JIS X 0208, kana and level 1
    }
    pairs = (bytes((lead, trail)) for first, last in planes[encoding] for lead in range(first, last + 1)
             for trail in range(0x40 if encoding == "BIG5" else 0xA1, 0xFF))  # fmt: skip
    return frozenset("".join(pair.decode(encoding, "ignore") for pair in pairs))
