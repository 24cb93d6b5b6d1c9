"""API keys: a file of names and SHA-256 hashes, read again when it changes.

A key is 256 random bits: it needs no salt, and a lookup by its hash tells nothing about others.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from pathlib import Path

from .log import event
from .problems import Problem

PREFIX = "ek-"
CHECK_SECONDS = 1.0  # between two looks at the file
_LINE = re.compile(r"(\S+)\s+sha256:([0-9a-f]{64})")


class KeysError(Exception):
    """The file of keys cannot be used."""


def add(path: Path, name: str) -> str:
    """A new key, whose hash goes into the file; nobody can read the key from it."""
    if not re.fullmatch(r"[\w.-]+", name):
        raise KeysError(f"{name!r} is no name for a key: letters, digits, '.', '_' and '-'")
    if path.exists() and name in read(path).values():
        raise KeysError(f"{path} has a key {name!r}; remove its line to replace it")
    key = PREFIX + secrets.token_urlsafe(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(f"{name} sha256:{digest(key)}\n")
    return key


def digest(key: str) -> str:
    """What the file has of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def read(path: Path) -> dict[str, str]:
    """Names by digest; KeysError where the file cannot be used."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KeysError(f"{path} cannot be read: {error}") from None
    names = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise KeysError(f"{path}, line {number}: not `NAME sha256:64 hex digits`")
        names[match[2]] = match[1]
    return names


class Keys:
    """The keys of a file, up to date within a second. A file that became unreadable leaves the last keys valid."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names = read(path)
        self._stamp = self._stat()
        self._checked = time.monotonic()

    def name_of(self, authorization: str | None) -> str:
        """The name of the key in an Authorization header; Problem 401 where there is none that is known."""
        self._reload()
        if not authorization:
            raise _refused("an API key is needed: send the header `Authorization: Bearer KEY`")
        scheme, _, key = authorization.partition(" ")
        name = self._names.get(digest(key.strip())) if scheme.lower() == "bearer" else None
        if name is None:
            raise _refused("this API key is not known")
        return name

    def _reload(self) -> None:
        now = time.monotonic()
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        stamp = self._stat()
        if stamp is not None and stamp != self._stamp:
            try:
                self._names, self._stamp = read(self._path), stamp
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
