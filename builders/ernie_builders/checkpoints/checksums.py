"""Checksums of the weights and vocabularies that ship, in one file beside them that `sha256sum -c` reads too.

Cards (card.json, README.md) describe these files and have no checksum.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from ..config.tasks import ASSETS
from ..errors import CheckpointError
from ..filesystem import locked, sha256_of, write_file

SUMS = "SHA256SUMS"
FOLDERS = ("encoder", "encoders/*", "checkpoints/*", "vocab")  # of ASSETS, with weights or vocabularies
CARDS = ("card.json", "README.md")
WEIGHTS = (".safetensors", ".xz", ".pdparams", ".bin")
REFRESH = "ernie-triton assets refresh"
LARGEST = 16_000_000  # bytes of a file that a checkout may have


def shipped_files(root: Path = ASSETS) -> dict[str, Path]:
    """Every file that should have a checksum, by its path under `root`, sorted."""
    paths = (path for pattern in FOLDERS for folder in root.glob(pattern) for path in folder.glob("*"))
    files = {path.relative_to(root).as_posix(): path for path in paths if _has_sum(path)}
    return dict(sorted(files.items()))


def _has_sum(path: Path) -> bool:
    """Not a card, and not what a killed write left (a hidden file)."""
    return path.is_file() and path.name not in CARDS and not path.name.startswith(".")


def digest(path: Path) -> str:
    """sha256 of a file's bytes in hexadecimal; computed once per process as long as the file does not change."""
    state = path.stat()
    return _digest(path, state.st_mtime_ns, state.st_size, state.st_ino)


@cache
def _digest(path: Path, *_state: int) -> str:
    return sha256_of(path)


def read_sums(root: Path = ASSETS) -> dict[str, str]:
    """The listed checksums by path; CheckpointError (file, line) where the list is missing or malformed."""
    path, sums = root / SUMS, {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file, so nothing that ships can be checked; put it back") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from None
    for number, line in enumerate(lines, 1):
        match = re.fullmatch(r"([0-9a-f]{64})  (\S+)", line)
        if not match:
            raise CheckpointError(f"{path}:{number}: expected SHA256 and PATH with two spaces between, found {line!r}")
        sums[match[2]] = match[1]
    return sums


def verify(root: Path = ASSETS) -> list[str]:
    """All faults, one line each: a missing card or file, a wrong checksum, a file without an entry or too large."""
    try:
        sums = read_sums(root)
    except CheckpointError as error:
        return [str(error)]
    files = shipped_files(root)
    faults = [
        f"{root / name}: missing, but {SUMS} lists it: put it back, or `{REFRESH}`" for name in sums.keys() - files
    ]
    for name, path in files.items():
        if name not in sums:
            faults.append(f"{path}: has no entry in {SUMS}: `{REFRESH}` adds it")
        elif digest(path) != sums[name]:
            faults.append(_mismatch(path, sums[name]))
        if path.stat().st_size > LARGEST:
            faults.append(f"{path}: is larger than {LARGEST // 10**6} MB: store it in 8 bits, or in shards")
    return sorted([*faults, *_without_cards(files)])


def _mismatch(path: Path, listed: str) -> str:
    return (
        f"{path}: damaged or exchanged: its sha256 is {digest(path)[:12]}, {SUMS} says {listed[:12]}; put the file "
        f"back, or after a change on purpose `{REFRESH}`"
    )


def card_of(path: Path) -> Path | None:
    """The card of a file: its folder's card.json, or a README.md there that names it."""
    card, readme = (path.with_name(name) for name in CARDS)
    if card.is_file():
        return card
    return readme if readme.is_file() and path.name in readme.read_text(encoding="utf-8") else None


def _without_cards(files: Mapping[str, Path]) -> Iterator[str]:
    for name, path in files.items():
        if path.suffix not in WEIGHTS and not name.startswith("vocab/"):
            continue
        card = card_of(path)
        if card is None:
            yield f"{path}: has no card: no card.json beside it, and no README.md there that names it"
        elif card.name == CARDS[0]:
            try:
                content = json.loads(card.read_text(encoding="utf-8"))
            except ValueError as error:
                yield f"{card}: not JSON ({error})"
            else:
                if not isinstance(content, dict) or not content.get("title"):
                    yield f"{card}: has no title: not a card"


def refresh(root: Path = ASSETS, folder: Path | None = None) -> int:
    """Write the checksums of the files as they are now, and return the number of entries.

    folder: update the entries of this folder only.
    """
    with locked(root):  # another build may be storing another checkpoint
        sums = {name: digest(path) for name, path in shipped_files(root).items()}
        if folder is not None:
            prefix = folder.resolve().relative_to(root.resolve()).as_posix() + "/"
            listed = read_sums(root) if (root / SUMS).is_file() else {}
            others = {name: value for name, value in listed.items() if not name.startswith(prefix)}
            sums = others | {name: value for name, value in sums.items() if name.startswith(prefix)}
        write_file(root / SUMS, "".join(f"{value}  {name}\n" for name, value in sorted(sums.items())))
    return len(sums)


def ships(path: Path, root: Path = ASSETS) -> bool:
    """Whether a file or folder is among the assets."""
    return path.resolve().is_relative_to(root.resolve())


def check_shipped(path: Path, root: Path = ASSETS) -> None:
    """CheckpointError where a file that ships, or a file in a folder that ships, does not match its checksum.

    Files elsewhere pass, and so do files without an entry, which `verify` reports.
    """
    if not ships(path, root) or not (root / SUMS).is_file():
        return
    sums, relative = read_sums(root), path.resolve().relative_to(root.resolve()).as_posix()
    for name, listed in sums.items():
        file = root / name
        if (name == relative or name.startswith(f"{relative}/")) and file.is_file() and digest(file) != listed:
            raise CheckpointError(_mismatch(file, listed))
