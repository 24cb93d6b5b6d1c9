"""Cut the stream: full sequences for the masked language model alone, segments for sentence tasks.

Every token of every document is in exactly one sequence of an epoch. Units (words, phrases) are not split unless one
is longer than a sequence.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from .sequences import NONE, Sequences, Span
from .stream import Stream

SHORT = 4  # space for fewer tokens than this at the end of a sequence stays empty
LONG_UNIT = 64  # a unit of more tokens is split anywhere


def unit_bound(stream: Stream, start: int, limit: int) -> int:
    """The last unit boundary in start + 1 to limit; `limit` if a single unit fills that range."""
    if limit >= len(stream):
        return len(stream)
    if stream.starts[limit]:
        return limit
    first = max(start + 1, limit - LONG_UNIT)
    bounds = np.flatnonzero(stream.starts[first : limit + 1])
    return first + int(bounds[-1]) if len(bounds) else limit


def fill(stream: Stream, documents: np.ndarray, length: int, generator: np.random.Generator) -> Sequences:
    """Full sequences: [CLS] text [SEP], with a [SEP] between two documents. Source: RoBERTa's FULL-SENTENCES.

    The first sequence has a random size, so that the text is cut at other places in each epoch.
    """
    first, last = stream.documents[documents], stream.documents[documents + 1]
    # Positions in the documents one after another, each with one more for its [SEP].
    ends = np.cumsum(last - first + 1)
    begins = ends - (last - first + 1)
    cuts = _cuts(stream, first, begins, ends, length - 1, generator)
    bounds = np.union1d(begins, cuts)
    document = np.searchsorted(begins, bounds, side="right") - 1
    starts = first[document] + bounds - begins[document]
    stops = np.minimum(starts + np.diff(np.append(bounds, ends[-1])), last[document])
    rows = np.append(np.searchsorted(bounds, cuts), len(bounds)).astype(np.int64)
    no_task = np.full(len(cuts), NONE)
    return Sequences(spans=np.stack([starts, stops], axis=1), bounds=rows, tasks=no_task, labels=no_task)


def _cuts(
    stream: Stream, first: np.ndarray, begins: np.ndarray, ends: np.ndarray, full: int, generator: np.random.Generator
) -> np.ndarray:
    """The positions at which sequences begin, int64, ascending from 0."""
    total, of_document, begin_list = int(ends[-1]), first.tolist(), begins.tolist()
    start, space, cuts = 0, full, [0]
    if full > 2 * SHORT:
        space = int(generator.integers(full // 2, full + 1))
    while start + space < total:
        limit, space = start + space, full
        number = bisect_right(begin_list, limit) - 1
        begin = begin_list[number]
        tokens_inside = limit - 1 - begin  # tokens of this document that fit, with a [SEP] after them
        if limit > begin > start and tokens_inside < SHORT:
            limit = begin
        elif limit > begin:
            text = of_document[number]
            least = text + max(0, start - begin)
            stop = unit_bound(stream, least, text + tokens_inside)
            is_unit_bound = bool(stream.starts[stop])
            limit = begin if begin > start and not is_unit_bound else begin + stop - text
        cuts.append(limit)
        start = limit
    return np.array(cuts, np.int64)


def segments(stream: Stream, document: int, most: int) -> list[Span]:
    """Cut a document into segments of whole sentences, each of at most `most` tokens; longer sentences are split."""
    start, end = (int(bound) for bound in stream.documents[document : document + 2])
    low, high = np.searchsorted(stream.sentences, [start, end])
    bounds = stream.sentences[low : high + 1].tolist()
    spans: list[Span] = []
    span_start, sentence_end = start, start
    for bound in bounds[1:]:
        if bound - span_start > most:
            if sentence_end > span_start:
                spans.append((span_start, sentence_end))
                span_start = sentence_end
            while bound - span_start > most:
                stop = unit_bound(stream, span_start, span_start + most)
                spans.append((span_start, stop))
                span_start = stop
        sentence_end = bound
    if end > span_start:
        spans.append((span_start, end))
    return spans
