"""ERNIE 1.0's own format, one sequence per line: `token ids; sentence ids; positions; word bounds; label`.

Numbers are separated by spaces. A sequence is [CLS] A [SEP] B [SEP], or [CLS] A [SEP]. Sentence ids are 0 and 1;
positions count from 0; word bounds are -1 at special tokens, 0 where a word begins and 1 inside it; the label is 1 if B
follows A, else 0. Files may be compressed (.gz, .xz).
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from ernie_runtime.text.tokenizer import Tokenizer

from ...errors import DataError
from ...readers.files.lines import lines
from .packing import unit_bound
from .sequences import Collector, Sequences, Span
from .stream import Stream

FIELDS = ("token ids", "sentence ids", "positions", "word bounds", "label")


class PairCorpus:
    """Ready-made pairs; a sequence that is too long is truncated, its longest part first."""

    def __init__(self, stream: Stream, pairs: Sequences, task: int) -> None:
        """task: index of nsp among the sentence tasks, or sequences.NONE if the labels are not trained on."""
        self.stream, self.pairs, self.task = stream, pairs, task

    def sequences(self, length: int, generator: np.random.Generator) -> Sequences:
        """All pairs, the same in each epoch; nothing is drawn from `generator`."""
        del generator
        spans, bounds = self.pairs.spans.copy(), self.pairs.bounds
        counts = np.diff(bounds)
        sizes = np.add.reduceat(spans[:, 1] - spans[:, 0] + 1, bounds[:-1]) + 1
        for row in np.flatnonzero(sizes > length):
            parts = spans[bounds[row] : bounds[row + 1]]
            for _ in range(2):  # the longer part first, then the other
                excess = int((parts[:, 1] - parts[:, 0]).sum()) + 1 + int(counts[row]) - length
                if excess <= 0:
                    break
                longest = int((parts[:, 1] - parts[:, 0]).argmax())
                start, end = parts[longest]
                kept_tokens = max(1, int(end - start) - excess, (length - 3) // 2)
                parts[longest, 1] = unit_bound(self.stream, int(start), int(start) + kept_tokens)
        tasks = np.full(len(self.pairs), self.task)
        return Sequences(spans=spans, bounds=bounds, tasks=tasks, labels=self.pairs.labels)


def read_ids(files: list[Path], tokenizer: Tokenizer, task: int) -> PairCorpus:
    """Read files in this format; DataError names the file and the line."""
    ids: list[np.ndarray] = []
    starts: list[np.ndarray] = []
    document_bounds, pairs, length = [0], Collector(), 0
    for path in files:
        for number, line in lines(path):
            if not line.strip():
                continue
            try:
                tokens, word_starts, parts, label = _parse(line, tokenizer)
            except ValueError as error:
                raise DataError(f"{path}: line {number}: {error}") from None
            pairs.add([(start + length, end + length) for start, end in parts], 0, label)
            ids.append(tokens)
            starts.append(word_starts)
            length += len(tokens)
            document_bounds.append(length)
    if not length:
        raise DataError(f"{', '.join(map(str, files))}: the corpus is empty; expected lines of `{'; '.join(FIELDS)}`")
    document_ends = np.array(document_bounds, np.int64)
    stream = Stream(
        ids=np.concatenate(ids), starts=np.concatenate(starts), sentences=document_ends, documents=document_ends
    )
    return PairCorpus(stream, pairs.done(), task)


def _parse(line: str, tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray, list[Span], int]:
    """Ids without special tokens, whether each begins a word, the parts as spans of them, the label; ValueError."""
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
        counts = ", ".join(f"{len(value)} {name}" for name, value in zip(FIELDS[:4], values[:4], strict=True))
        raise ValueError(f"{counts}: expected as many of each")
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
    marked_special = bounds == -1
    separators = np.flatnonzero(ids == tokenizer.sep_id)
    is_special = np.isin(ids, (tokenizer.cls_id, tokenizer.sep_id))
    if (marked_special != is_special).any() or not np.isin(bounds, (-1, 0, 1)).all():
        raise ValueError("word bounds: expected -1 at [CLS] and [SEP], else 0 where a word begins and 1 inside it")
    if len(separators) > 2 or (sentences != np.searchsorted(separators, np.arange(len(ids)))).any():
        raise ValueError("sentence ids: expected 0 up to the first [SEP], 1 up to the second and last")
    part_bounds = [0, *separators.tolist()]
    parts = [(a - number, b - 1 - number) for number, (a, b) in enumerate(pairwise(part_bounds))]
    if any(end <= start for start, end in parts):
        raise ValueError("token ids: an empty sentence")
    is_ordinary = ~marked_special
    return ids[is_ordinary], bounds[is_ordinary] == 0, parts, int(label[0]) if len(parts) == 2 else -1
