"""Sequences as stretches of the stream: what an epoch is made of, before any of it is masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from .stream import Stream

Span = tuple[int, int]
NONE = -1  # no sentence task, or no label for it


@dataclass(frozen=True)
class Sequences:
    """n sequences; sequence i has the parts spans[bounds[i]:bounds[i + 1]], each followed by [SEP].

    tasks, labels: int64 [n], the index of the sentence task that a sequence is for, and its label; NONE where it has
    none. Parts of a sequence with a task get token types 0, 1, ...; else all are of type 0.
    """

    spans: np.ndarray  # int64 [m, 2]
    bounds: np.ndarray  # int64 [n + 1]
    tasks: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.tasks)

    def take(self, rows: np.ndarray) -> Sequences:
        """Some sequences, in that order."""
        counts = np.diff(self.bounds)[rows]
        bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        within = np.arange(bounds[-1]) - np.repeat(bounds[:-1], counts)
        chosen = np.repeat(self.bounds[rows], counts) + within
        return Sequences(self.spans[chosen], bounds, self.tasks[rows], self.labels[rows])


@dataclass
class Collector:
    """Sequences in the making."""

    spans: list[Span] = field(default_factory=list)
    bounds: list[int] = field(default_factory=lambda: [0])
    tasks: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    def add(self, parts: Sequence[Span], task: int = NONE, label: int = NONE) -> None:
        """One sequence."""
        self.spans += parts
        self.bounds.append(len(self.spans))
        self.tasks.append(task)
        self.labels.append(label)

    def done(self) -> Sequences:
        """All of them."""
        spans = np.array(self.spans, np.int64).reshape(-1, 2)
        return Sequences(spans, *(np.array(v, np.int64) for v in (self.bounds, self.tasks, self.labels)))


class Corpus(Protocol):
    """Text that gives sequences: a stream that is cut anew each epoch, or pairs that come as they are."""

    stream: Stream

    def sequences(self, length: int, generator: np.random.Generator) -> Sequences:
        """All sequences of an epoch, of at most `length` tokens with the special ones."""
