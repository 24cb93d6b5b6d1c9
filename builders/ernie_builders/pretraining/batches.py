"""Batches: sequences with special tokens, masked, in an order that follows from a seed and a cursor."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ernie_runtime.text.tokenizer import Tokenizer

from .corpus.sequences import NONE, Corpus, Sequences
from .corpus.stream import Stream
from .masking import Vocabulary, mask


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Arrays int64: [B, L] for tokens, [B] for sequences."""

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    labels: np.ndarray  # the true ids of the predicted tokens, masking.IGNORED elsewhere
    tasks: np.ndarray
    sentence_labels: np.ndarray
    tokens: int  # without padding, with special tokens


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """The next sequence to train on, in a stretch of the training."""

    stretch: int = 0
    epoch: int = 0
    row: int = 0


def lay_out(
    sequences: Sequences, stream: Stream, tokenizer: Tokenizer, token_types: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[CLS] part [SEP] part [SEP] ...: input ids, token types and units (NONE at special tokens), each int64 [B, L]."""
    starts, ends = sequences.spans[:, 0], sequences.spans[:, 1]
    sizes = ends - starts
    counts = np.diff(sequences.bounds)
    row_of_part = np.repeat(np.arange(len(sequences)), counts)
    before = np.concatenate([[0], np.cumsum(sizes + 1)])  # each part is followed by [SEP]
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
    """Makes batches of a corpus; the caller keeps the position (`Cursor`)."""

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, token_types: int, rate: float, seed: int) -> None:
        self.corpus, self.tokenizer, self.token_types = corpus, tokenizer, token_types
        self.vocabulary, self.rate, self.seed = Vocabulary.of(tokenizer), rate, seed
        self._current: tuple[tuple[int, int, int], Sequences, np.ndarray] | None = None

    def take(self, cursor: Cursor, length: int, rows: int) -> tuple[Sequences, Cursor]:
        """The next `rows` sequences of at most `length` tokens, across epochs if need be, and the cursor after them."""
        parts: list[tuple[Sequences, np.ndarray]] = []
        while rows:
            sequences, order = self._epoch(cursor, length)
            rows_of_epoch = order[cursor.row : cursor.row + rows]
            parts.append((sequences, rows_of_epoch))
            rows -= len(rows_of_epoch)
            next_row = cursor.row + len(rows_of_epoch)
            is_epoch_done = next_row >= len(order)
            cursor = replace(cursor, epoch=cursor.epoch + is_epoch_done, row=0 if is_epoch_done else next_row)
        return _joined([sequences.take(rows_of_epoch) for sequences, rows_of_epoch in parts]), cursor

    def _epoch(self, cursor: Cursor, length: int) -> tuple[Sequences, np.ndarray]:
        key = (cursor.stretch, cursor.epoch, length)
        if self._current is None or self._current[0] != key:
            generator = np.random.default_rng([self.seed, cursor.stretch, cursor.epoch, 1])
            sequences = self.corpus.sequences(length, generator)
            self._current = (key, sequences, generator.permutation(len(sequences)))
        return self._current[1], self._current[2]

    def batch(self, sequences: Sequences, generator: np.random.Generator) -> Batch:
        """A batch of the sequences; `generator` decides what is masked."""
        ids, types, units = lay_out(sequences, self.corpus.stream, self.tokenizer, self.token_types)
        hidden, labels = mask(ids, units, self.vocabulary, self.rate, generator)
        return Batch(
            input_ids=hidden,
            token_type_ids=types,
            labels=labels,
            tasks=sequences.tasks,
            sentence_labels=sequences.labels,
            tokens=int((ids != 0).sum()),
        )


def _joined(parts: list[Sequences]) -> Sequences:
    if len(parts) == 1:
        return parts[0]
    shifts = np.cumsum([0, *(len(part.spans) for part in parts)])
    bounds = [part.bounds[:-1] + shift for part, shift in zip(parts, shifts, strict=False)]
    return Sequences(
        spans=np.concatenate([part.spans for part in parts]),
        bounds=np.append(np.concatenate(bounds), shifts[-1]),
        tasks=np.concatenate([part.tasks for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
    )
