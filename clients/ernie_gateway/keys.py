"""API keys: a file of names, SHA-256 hashes and rates, read again when it changes.

A key is 256 random bits: it needs no salt, and a lookup by its hash tells nothing about others.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from .log import event
from .problems import Problem

PREFIX = "ek-"
CHECK_SECONDS = 1.0  # between two looks at the file
_LINE = re.compile(r"(\S+)\s+sha256:([0-9a-f]{64})(?:\s+rate=(\d{1,9}(?:\.\d{1,6})?))?")


class KeysError(Exception):
    """The file of keys cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """Who asks. rate: texts a second on average; 0: no limit."""

    name: str
    rate: float = 0.0


NOBODY = Key(name="")
"""Who asks where no key is wanted."""


def add(path: Path, name: str, rate: float = 0.0) -> str:
    """A new key, whose hash goes into the file; nobody can read the key from it."""
    if not re.fullmatch(r"[\w.-]+", name):
        raise KeysError(f"{name!r} is no name for a key: letters, digits, '.', '_' and '-'")
    if path.exists() and name in {key.name for key in read(path).values()}:
        raise KeysError(f"{path} has a key {name!r}; remove its line to replace it")
    key = PREFIX + secrets.token_urlsafe(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(f"{name} sha256:{digest(key)}{f' rate={rate:.10g}' if rate else ''}\n")
    return key


def digest(key: str) -> str:
    """What the file has of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def read(path: Path) -> dict[str, Key]:
    """Keys by digest; KeysError where the file cannot be used."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KeysError(f"{path} cannot be read: {error}") from None
    keys = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise KeysError(f"{path}, line {number}: not `NAME sha256:64 hex digits`, with or without `rate=NUMBER`")
        if match[3] is not None and not float(match[3]):
            raise KeysError(f"{path}, line {number}: rate=0 would let nothing through; remove the line instead")
        keys[match[2]] = Key(name=match[1], rate=float(match[3] or 0))
    return keys


class Keys:
    """The keys of a file, up to date within a second. A file that became unreadable leaves the last keys valid."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = read(path)
        self._stamp = self._stat()
        self._checked = time.monotonic()

    def of(self, authorization: str | None) -> Key:
        """The key in an Authorization header; Problem 401 where there is none that is known."""
        self._reload()
        if not authorization:
            raise _refused("an API key is needed: send the header `Authorization: Bearer KEY`")
        scheme, _, text = authorization.partition(" ")
        key = self._keys.get(digest(text.strip())) if scheme.lower() == "bearer" else None
        if key is None:
            raise _refused("this API key is not known")
        return key

    def _reload(self) -> None:
        now = time.monotonic()
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        stamp = self._stat()
        if stamp is not None and stamp != self._stamp:
            try:
                self._keys, self._stamp = read(self._path), stamp
            except KeysError:
                event("keys_unreadable", path=str(self._path))

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            about = self._path.stat()
        except OSError:
            return None
        return about.st_mtime_ns, about.st_size, about.st_ino


def _refused(message: str) -> Problem:
    return Problem(401, "no_key", message, headers={"www-authenticate": "Bearer"})
