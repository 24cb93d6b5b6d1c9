"""Errors of the serving code.

ErnieError
├── InvalidItem       one text of a request cannot be answered (empty, not UTF-8, too long)
├── ManifestError     manifest.json is missing, malformed or contradicts itself
├── VocabularyError   a vocabulary or tokenizer file cannot be used
├── TextFileError     a file of text cannot be read: missing, packed wrongly, in another encoding
└── EngineError       a model file cannot be loaded or run
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class ErnieError(Exception):
    """Base of this package's errors; each message is one line for a person."""


class InvalidItem(ErnieError):
    """One text cannot be answered; the message is the reason, the caller adds the index of the item."""


class ManifestError(ErnieError):
    """manifest.json is missing, malformed or contradicts itself; several faults at once have a line each."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class Faults:
    """Collects what is wrong with a manifest, so that all of it is reported at once."""

    caught: tuple[type[Exception], ...] = (ManifestError,)

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def collect(self, where: str = "") -> Iterator[None]:
        """Keep the faults that the block raises; `where` is put before each."""
        try:
            yield
        except self.caught as error:
            self.lines += [f"{where}: {line}" if where else line for line in getattr(error, "lines", (str(error),))]

    def check(self) -> None:
        """ManifestError with everything that was collected, if anything was."""
        if self.lines:
            raise ManifestError(*self.lines)


class VocabularyError(ErnieError):
    """A vocabulary or tokenizer file cannot be used."""


class TextFileError(ErnieError):
    """A file of text cannot be read."""


class EngineError(ErnieError):
    """A model file cannot be loaded or run."""
