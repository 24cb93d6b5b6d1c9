"""Cutting the stream: sequences filled with text for the masked language model alone, segments for sentence tasks.

Nothing is lost: every token of every document is in exactly one sequence of an epoch. Units (words, phrases) are not
cut unless one alone is longer than a sequence.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from .sequences import NONE, Sequences, Span
from .stream import Stream

SHORT = 4  # room for fewer tokens than this is left empty
LONG_UNIT = 64  # a unit of more tokens is cut like text


def unit_bound(stream: Stream, start: int, limit: int) -> int:
    """The last bound between units in start + 1 to limit; `limit` where one unit fills all of it."""
    if limit >= len(stream):
        return len(stream)
    if stream.starts[limit]:
        return limit
    first = max(start + 1, limit - LONG_UNIT)
    found = np.flatnonzero(stream.starts[first : limit + 1])
    return first + int(found[-1]) if len(found) else limit


def fill(stream: Stream, documents: np.ndarray, length: int, generator: np.random.Generator) -> Sequences:
    """Full sequences: [CLS] text [SEP], where a document ends [SEP] and the next one. Source: RoBERTa's FULL-SENTENCES.

    The first sequence is of a random size, so that the same text is cut elsewhere in each epoch.
    """
    first, last = stream.documents[documents], stream.documents[documents + 1]
    # Places in the documents as they follow each other, each with room for its [SEP].
    ends = np.cumsum(last - first + 1)
    begins = ends - (last - first + 1)
    cuts = _cuts(stream, first, begins, ends, length - 1, generator)
    bounds = np.union1d(begins, cuts)
    document = np.searchsorted(begins, bounds, side="right") - 1
    starts = first[document] + bounds - begins[document]
    stops = np.minimum(starts + np.diff(np.append(bounds, ends[-1])), last[document])
    rows = np.append(np.searchsorted(bounds, cuts), len(bounds)).astype(np.int64)
    nothing = np.full(len(cuts), NONE)
    return Sequences(np.stack([starts, stops], axis=1), rows, nothing, nothing)


def _cuts(
    stream: Stream, first: np.ndarray, begins: np.ndarray, ends: np.ndarray, full: int, generator: np.random.Generator
) -> np.ndarray:
    """Where sequences begin, int64: first of all documents' text, then where a sequence is full."""
    total, of_document, begin_list = int(ends[-1]), first.tolist(), begins.tolist()
    place, room, found = 0, full, [0]
    if full > 2 * SHORT:
        room = int(generator.integers(full // 2, full + 1))
    while place + room < total:
        limit, room = place + room, full
        number = bisect_right(begin_list, limit) - 1
        begin = begin_list[number]
        inside = limit - 1 - begin  # tokens of this document that fit in, with a [SEP] behind them
        if limit > begin > place and inside < SHORT:
            limit = begin
        elif limit > begin:
            text = of_document[number]
            least = text + max(0, place - begin)
            stop = unit_bound(stream, least, text + inside)
            whole = bool(stream.starts[stop])
            limit = begin if begin > place and not whole else begin + stop - text
        found.append(limit)
        place = limit
    return np.array(found, np.int64)


def segments(stream: Stream, document: int, most: int) -> list[Span]:
    """The document as segments of whole sentences, each as long as `most` tokens allow; longer sentences are cut."""
    start, end = (int(bound) for bound in stream.documents[document : document + 2])
    low, high = np.searchsorted(stream.sentences, [start, end])
    bounds = stream.sentences[low : high + 1].tolist()
    found: list[Span] = []
    place, last = start, start
    for bound in bounds[1:]:
        if bound - place > most:
            if last > place:
                found.append((place, last))
                place = last
            while bound - place > most:
                stop = unit_bound(stream, place, place + most)
                found.append((place, stop))
                place = stop
        last = bound
    if end > place:
        found.append((place, end))
    return found
