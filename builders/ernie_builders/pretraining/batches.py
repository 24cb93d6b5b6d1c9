"""Batches: sequences laid out with special tokens and masked, in an order that a seed and a place in it decide."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ernie_runtime.text.tokenization import ErnieTokenizer

from .corpus.sequences import NONE, Corpus, Sequences
from .corpus.stream import Stream
from .masking import Vocabulary, mask


@dataclass(frozen=True)
class Batch:
    """Arrays int64: [B, L] for tokens, [B] for sequences."""

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    labels: np.ndarray  # the hidden tokens' ids, masking.IGNORED elsewhere
    tasks: np.ndarray
    sentence_labels: np.ndarray
    tokens: int  # real ones, special ones among them


@dataclass(frozen=True)
class Cursor:
    """The next sequence of a stretch of the training."""

    stretch: int = 0
    epoch: int = 0
    row: int = 0


def lay_out(
    sequences: Sequences, stream: Stream, tokenizer: ErnieTokenizer, token_types: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[CLS] part [SEP] part [SEP] ...: input ids, token types and units (NONE at special tokens), each int64 [B, L]."""
    starts, ends = sequences.spans[:, 0], sequences.spans[:, 1]
    sizes = ends - starts
    counts = np.diff(sequences.bounds)
    row_of_part = np.repeat(np.arange(len(sequences)), counts)
    before = np.concatenate([[0], np.cumsum(sizes + 1)])  # each part has its [SEP]
    column_of_part = 1 + before[:-1] - before[sequences.bounds[:-1]][row_of_part]
    lengths = 1 + before[sequences.bounds[1:]] - before[sequences.bounds[:-1]]
    ids = np.zeros((len(sequences), int(lengths.max())), np.int64)
    types, units = np.zeros_like(ids), np.full_like(ids, NONE)

    within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    source = np.repeat(starts, sizes) + within
    row, column = np.repeat(row_of_part, sizes), np.repeat(column_of_part, sizes) + within
    ids[row, column] = stream.ids[source]
    units[row, column] = np.cumsum(stream.starts[source] | (within == 0)) - 1
    part = np.arange(len(sizes)) - np.repeat(sequences.bounds[:-1], counts)
    kind = np.where(sequences.tasks[row_of_part] == NONE, 0, np.minimum(part, token_types - 1))
    types[row, column] = np.repeat(kind, sizes)
    ids[:, 0] = tokenizer.cls_id
    ids[row_of_part, column_of_part + sizes] = tokenizer.sep_id
    types[row_of_part, column_of_part + sizes] = kind
    return ids, types, units


class Feeder:
    """Hands out a corpus in batches; where it stands is the caller's to keep (`Cursor`)."""

    def __init__(self, corpus: Corpus, tokenizer: ErnieTokenizer, token_types: int, rate: float, seed: int) -> None:
        self.corpus, self.tokenizer, self.token_types = corpus, tokenizer, token_types
        self.vocabulary, self.rate, self.seed = Vocabulary.of(tokenizer), rate, seed
        self._held: tuple[tuple[int, int, int], Sequences, np.ndarray] | None = None

    def take(self, cursor: Cursor, length: int, rows: int) -> tuple[Sequences, Cursor]:
        """The next `rows` sequences of at most `length` tokens, and the cursor behind them; epochs follow."""
        found: list[tuple[Sequences, np.ndarray]] = []
        while rows:
            sequences, order = self._epoch(cursor, length)
            part = order[cursor.row : cursor.row + rows]
            found.append((sequences, part))
            rows -= len(part)
            behind = cursor.row + len(part)
            done = behind >= len(order)
            cursor = replace(cursor, epoch=cursor.epoch + done, row=0 if done else behind)
        return _joined([sequences.take(part) for sequences, part in found]), cursor

    def _epoch(self, cursor: Cursor, length: int) -> tuple[Sequences, np.ndarray]:
        key = (cursor.stretch, cursor.epoch, length)
        if self._held is None or self._held[0] != key:
            generator = np.random.default_rng([self.seed, cursor.stretch, cursor.epoch, 1])
            sequences = self.corpus.sequences(length, generator)
            self._held = (key, sequences, generator.permutation(len(sequences)))
        return self._held[1], self._held[2]

    def batch(self, sequences: Sequences, generator: np.random.Generator) -> Batch:
        """Masked anew: the generator's state decides what is hidden."""
        ids, types, units = lay_out(sequences, self.corpus.stream, self.tokenizer, self.token_types)
        hidden, labels = mask(ids, units, self.vocabulary, self.rate, generator)
        return Batch(hidden, types, labels, sequences.tasks, sequences.labels, int((ids != 0).sum()))


def _joined(parts: list[Sequences]) -> Sequences:
    if len(parts) == 1:
        return parts[0]
    shifts = np.cumsum([0, *(len(part.spans) for part in parts)])
    bounds = [part.bounds[:-1] + shift for part, shift in zip(parts, shifts, strict=False)]
    return Sequences(
        np.concatenate([part.spans for part in parts]),
        np.append(np.concatenate(bounds), shifts[-1]),
        np.concatenate([part.tasks for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )
