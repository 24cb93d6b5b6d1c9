"""What can go wrong for a client; every message is one line for a person.

ErnieTritonError
├── ServerUnavailable   no server answers at the address
│   ├── ServerOverloaded   the server refuses requests until it has answered others; try again later
│   └── ServerTimeout      the server did not answer in time
├── AccessDenied        the server wants an API key, a certificate, or other ones
├── UnknownTask         the server has no such task, or the task no such variant
├── WrongKind           the task is of another kind than the method, or the class of results, that was asked for
├── InvalidText         some texts cannot be answered (.items: index and reason of each)
├── ServerError         the server failed, or its answer makes no sense
├── LocalError          a task of a model repository cannot be run in this process
└── FileError           a file of texts, or of answers, cannot be used
    └── OtherInput      the file of texts is not the one that the file of answers was begun with
"""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 5  # the maximum of bad texts that a message names


class ErnieTritonError(Exception):
    """Base of this package's errors."""


class ServerUnavailable(ErnieTritonError):
    """No server answers at the address, or not in time."""


class ServerOverloaded(ServerUnavailable):
    """The server refuses requests until it has answered others; try again later."""


class ServerTimeout(ServerUnavailable):
    """The server did not answer in time."""


class AccessDenied(ErnieTritonError):
    """The server wants an API key, a certificate, or other ones."""


class UnknownTask(ErnieTritonError):
    """There is no `name`; subject: "the server at ... has no task"; known: the names that exist."""

    def __init__(self, subject: str, name: str, known: Sequence[str]) -> None:
        super().__init__(subject, name, tuple(known))
        self.subject: str = subject
        self.name: str = name
        self.known: tuple[str, ...] = tuple(known)

    def __str__(self) -> str:
        from ernie_runtime.command_line import did_you_mean  # only here: it loads argparse

        known = ", ".join(self.known) or "none"
        words = [word for name in self.known for word in name.removesuffix(")").split(" (")]  # names, and titles
        return f"{self.subject} {self.name!r}; it has {known}{did_you_mean(self.name, words)}"


class WrongKind(ErnieTritonError):
    """The task is of another kind than the method, or the class of results, that was asked for."""


class InvalidText(ErnieTritonError):
    """Some texts cannot be answered: `items` holds (index in the caller's list, reason) for each of them."""

    def __init__(self, items: Sequence[tuple[int, str]]) -> None:
        super().__init__(tuple(items))
        self.items: tuple[tuple[int, str], ...] = tuple(items)

    def __str__(self) -> str:
        shown = "; ".join(f"item {index}: {reason}" for index, reason in self.items[:SHOWN])
        more = len(self.items) - SHOWN
        return shown + (f"; and {more} more" if more > 0 else "")


class ServerError(ErnieTritonError):
    """The server failed, or its answer makes no sense."""


class LocalError(ErnieTritonError):
    """A task of a model repository cannot be run in this process."""


class FileError(ErnieTritonError):
    """A file of texts, or of answers, cannot be used."""


class OtherInput(FileError):
    """The file of texts is not the one that the file of answers was begun with."""
