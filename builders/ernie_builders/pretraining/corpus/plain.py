"""Read UTF-8 files, plain or compressed; for another encoding the error names line, byte and the likely encoding."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Iterator
from pathlib import Path

from ...errors import DataError

SAMPLE = 200_000  # bytes from the start, to guess an encoding from
# Frequent characters of Chinese text, simplified and traditional: the right decoding is full of them.
COMMON = frozenset(
    "的一是不了在人有我他这这大来到上个们为中国说地时要就出会可你对生能而子那得于着下自之年的個這們來為國說時會對着於"
)


def open_bytes(path: Path) -> bytes:
    """A file's bytes, decompressed if it is .gz or .xz; DataError if it cannot be read."""
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            return gzip.decompress(raw)
        return lzma.decompress(raw) if path.suffix == ".xz" else raw
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except (EOFError, lzma.LZMAError) as error:
        raise DataError(f"{path}: cannot be unpacked ({error})") from None


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, line without its end) of each line; DataError if one is not UTF-8."""
    raw = open_bytes(path)
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    if b"\x00" in raw[:SAMPLE]:
        at = raw.index(b"\x00")
        raise DataError(_fault(path, raw, raw.count(b"\n", 0, at) + 1, at))
    place = 0
    for number, line in enumerate(raw.split(b"\n"), 1):
        try:
            yield number, line.decode("utf-8").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise DataError(_fault(path, raw, number, place + error.start)) from None
        place += len(line) + 1


def _fault(path: Path, raw: bytes, line: int, byte: int) -> str:
    likely = guess_encoding(raw)
    looks = f"it looks like {likely}: convert it with `iconv -f {likely} -t UTF-8`" if likely else "convert it"
    return f"{path}: line {line}, byte {byte} (0x{raw[byte]:02x}) is not UTF-8; {looks}"


def guess_encoding(raw: bytes) -> str:
    """The encoding that fits bytes that are not UTF-8 best; empty if none fits."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "UTF-16"
    sample = raw[:SAMPLE]
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if max(even, odd) > len(sample) // 20:
        return "UTF-16LE" if odd > even else "UTF-16BE"
    scores = {name: _sense(sample, name) for name in ("GB18030", "BIG5", "UTF-16LE", "UTF-16BE", "EUC-JP")}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > 0.02 else ""


def _sense(sample: bytes, encoding: str) -> float:
    """The share of common characters among all that are not ASCII; 0 if more than a twentieth cannot be decoded."""
    text = sample.decode(encoding, "replace")
    foreign = [char for char in text if char > "\x7f"]
    if not foreign or foreign.count("\ufffd") > len(foreign) / 20:
        return 0.0
    return sum(char in COMMON for char in foreign) / len(foreign)
