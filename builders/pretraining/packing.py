"""Cutting the stream: sequences filled with text for the masked language model alone, segments for sentence tasks.

Nothing is lost: every token of every document is in exactly one sequence of an epoch. Units (words, phrases) are not
cut unless one alone is longer than a sequence.
"""

from __future__ import annotations

import numpy as np

from .sequences import Collector, Span
from .stream import Stream

SHORT = 4  # room for fewer tokens than this is left empty
LONG_UNIT = 64  # a unit of more tokens is cut like text


def unit_bound(stream: Stream, start: int, limit: int) -> int:
    """The last bound between units in start + 1 to limit; `limit` where one unit fills all of it."""
    if limit >= len(stream):
        return len(stream)
    first = max(start + 1, limit - LONG_UNIT)
    found = np.flatnonzero(stream.starts[first : limit + 1])
    return first + int(found[-1]) if len(found) else limit


def fill(stream: Stream, documents: np.ndarray, length: int, generator: np.random.Generator, found: Collector) -> None:
    """Full sequences: [CLS] text [SEP], where a document ends [SEP] and the next one. Source: RoBERTa's FULL-SENTENCES.

    The first sequence is of a random size, so that the same text is cut elsewhere in each epoch.
    """
    parts: list[Span] = []
    room = full = length - 1  # [CLS] is there
    if full > 2 * SHORT:
        room = int(generator.integers(full // 2, full + 1))
    for document in documents:
        place, end = int(stream.documents[document]), int(stream.documents[document + 1])
        while place < end:
            stop = end if end - place <= room - 1 else unit_bound(stream, place, place + room - 1)
            if parts and stop < end and stop - place > room - 1 - SHORT and not stream.starts[stop]:
                stop = place  # a long unit goes whole into the next sequence
            if stop > place:
                parts.append((place, stop))
                room -= stop - place + 1
                place = stop
            if place < end or room - 1 < SHORT:
                found.add(parts)
                parts, room = [], full
    if parts:
        found.add(parts)


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
