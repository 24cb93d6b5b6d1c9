"""Sequences as spans of the stream: an epoch before masking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from .stream import Stream

Span = tuple[int, int]
NONE = -1  # no sentence task, or no label for it


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """n sequences; sequence i has the parts spans[bounds[i]:bounds[i + 1]], each followed by [SEP].

    tasks, labels: int64 [n], the index of the sequence's sentence task, and its label; NONE if it has none. The parts
    of a sequence with a task get token types 0, 1, ...; all others get type 0.
    """

    spans: np.ndarray  # int64 [m, 2]
    bounds: np.ndarray  # int64 [n + 1]
    tasks: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.tasks)

    def take(self, rows: np.ndarray) -> Sequences:
        """The sequences at `rows`, in that order."""
        counts = np.diff(self.bounds)[rows]
        bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        offsets = np.arange(bounds[-1]) - np.repeat(bounds[:-1], counts)
        chosen = np.repeat(self.bounds[rows], counts) + offsets
        return Sequences(spans=self.spans[chosen], bounds=bounds, tasks=self.tasks[rows], labels=self.labels[rows])


@dataclass(kw_only=True)
class Collector:
    """Collects sequences one by one."""

    spans: list[Span] = field(default_factory=list)
    bounds: list[int] = field(default_factory=lambda: [0])
    tasks: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    def add(self, parts: Sequence[Span], task: int = NONE, label: int = NONE) -> None:
        """Add a sequence."""
        self.spans += parts
        self.bounds.append(len(self.spans))
        self.tasks.append(task)
        self.labels.append(label)

    def done(self) -> Sequences:
        """All sequences added so far."""
        spans = np.array(self.spans, np.int64).reshape(-1, 2)
        bounds, tasks, labels = (np.array(values, np.int64) for values in (self.bounds, self.tasks, self.labels))
        return Sequences(spans=spans, bounds=bounds, tasks=tasks, labels=labels)


class Corpus(Protocol):
    """Text that gives sequences: a stream that is cut anew in each epoch, or ready-made pairs."""

    stream: Stream

    def sequences(self, length: int, generator: np.random.Generator) -> Sequences:
        """All sequences of an epoch, each of at most `length` tokens, special ones included."""
