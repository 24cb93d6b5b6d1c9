"""ERNIE 1.0's own format, a sequence a line: `token ids; sentence ids; positions; word bounds; label`.

Numbers are joined by spaces. A sequence is [CLS] A [SEP] B [SEP], or [CLS] A [SEP]; sentence ids are 0 and 1, positions
count from 0, word bounds are -1 at special tokens, 0 where a word begins and 1 inside it; the label is 1 where B
follows A, else 0. Files may be .gz or .xz.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from ernie_runtime.text.tokenization import ErnieTokenizer

from ...errors import DataError
from .packing import unit_bound
from .plain import read_lines
from .sequences import Collector, Sequences, Span
from .stream import Stream

FIELDS = ("token ids", "sentence ids", "positions", "word bounds", "label")


class PairCorpus:
    """Sequences that come ready made; longer ones are cut to the length asked for, their longest part first."""

    def __init__(self, stream: Stream, made: Sequences, task: int) -> None:
        """task: index of nsp among the sentence tasks, or sequences.NONE where the labels are not learnt."""
        self.stream, self.made, self.task = stream, made, task

    def sequences(self, length: int, generator: np.random.Generator) -> Sequences:
        """All of them, the same in each epoch; the generator draws nothing."""
        del generator
        spans, bounds = self.made.spans.copy(), self.made.bounds
        counts = np.diff(bounds)
        sizes = np.add.reduceat(spans[:, 1] - spans[:, 0] + 1, bounds[:-1]) + 1
        for row in np.flatnonzero(sizes > length):
            parts = spans[bounds[row] : bounds[row + 1]]
            for _ in range(2):  # at most: the longer one first, then both
                over = int((parts[:, 1] - parts[:, 0]).sum()) + 1 + int(counts[row]) - length
                if over <= 0:
                    break
                longest = int((parts[:, 1] - parts[:, 0]).argmax())
                start, end = parts[longest]
                keep = max(1, int(end - start) - over, (length - 3) // 2)
                parts[longest, 1] = unit_bound(self.stream, int(start), int(start) + keep)
        tasks = np.full(len(self.made), self.task)
        return Sequences(spans, bounds, tasks, self.made.labels)


def read_ids(files: list[Path], tokenizer: ErnieTokenizer, task: int) -> PairCorpus:
    """The corpus of files in this format; DataError names file and line."""
    ids: list[np.ndarray] = []
    starts: list[np.ndarray] = []
    documents, found, length = [0], Collector(), 0
    for path in files:
        for number, line in read_lines(path):
            if not line.strip():
                continue
            try:
                tokens, word_starts, parts, label = _parse(line, tokenizer)
            except ValueError as error:
                raise DataError(f"{path}: line {number}: {error}") from None
            found.add([(start + length, end + length) for start, end in parts], 0, label)
            ids.append(tokens)
            starts.append(word_starts)
            length += len(tokens)
            documents.append(length)
    if not length:
        raise DataError(f"{', '.join(map(str, files))}: the corpus is empty; expected lines of `{'; '.join(FIELDS)}`")
    bounds = np.array(documents, np.int64)
    stream = Stream(np.concatenate(ids), np.concatenate(starts), bounds, bounds)
    return PairCorpus(stream, found.done(), task)


def _parse(line: str, tokenizer: ErnieTokenizer) -> tuple[np.ndarray, np.ndarray, list[Span], int]:
    """Ordinary tokens, whether each begins a word, the parts among them, the label; ValueError."""
    fields = line.rstrip("\n").rstrip(";").split(";")
    if len(fields) != len(FIELDS):
        raise ValueError(f"{len(fields)} fields, expected {len(FIELDS)}: {'; '.join(FIELDS)}")
    values = []
    for name, text in zip(FIELDS, fields, strict=True):
        try:
            values.append(np.array([int(item) for item in text.split()], np.int64))
        except ValueError:
            raise ValueError(f"{name}: expected whole numbers joined by spaces") from None
    ids, sentences, positions, bounds, label = values
    if not len(ids) == len(sentences) == len(positions) == len(bounds):
        sizes = ", ".join(f"{len(value)} {name}" for name, value in zip(FIELDS[:4], values[:4], strict=True))
        raise ValueError(f"{sizes}: expected as many of each")
    if len(label) != 1 or label[0] not in (0, 1):
        raise ValueError("label: expected 0 or 1")
    if len(ids) < 3 or ids[0] != tokenizer.cls_id or ids[-1] != tokenizer.sep_id:
        raise ValueError(f"token ids: expected [CLS] ({tokenizer.cls_id}) first and [SEP] ({tokenizer.sep_id}) last")
    if ids.min() < 0 or ids.max() >= tokenizer.vocab_size:
        wrong = int(ids.max() if ids.max() >= tokenizer.vocab_size else ids.min())
        raise ValueError(
            f"token id {wrong}: the vocabulary has {tokenizer.vocab_size:,} entries; give the one that made the file"
        )
    if (positions != np.arange(len(ids))).any():
        raise ValueError("positions: expected 0, 1, 2, ...")
    special = bounds == -1
    separators = np.flatnonzero(ids == tokenizer.sep_id)
    expected = np.isin(ids, (tokenizer.cls_id, tokenizer.sep_id))
    if (special != expected).any() or not np.isin(bounds, (-1, 0, 1)).all():
        raise ValueError("word bounds: expected -1 at [CLS] and [SEP], else 0 where a word begins and 1 inside it")
    if len(separators) > 2 or (sentences != np.searchsorted(separators, np.arange(len(ids)))).any():
        raise ValueError("sentence ids: expected 0 up to the first [SEP], 1 up to the second and last")
    places = [0, *separators.tolist()]
    parts = [(a - number, b - 1 - number) for number, (a, b) in enumerate(pairwise(places))]
    if any(end <= start for start, end in parts):
        raise ValueError("token ids: an empty sentence")
    kept = ~special
    return ids[kept], bounds[kept] == 0, parts, int(label[0]) if len(parts) == 2 else -1
