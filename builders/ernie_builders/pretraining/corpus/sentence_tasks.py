"""What is learnt about sentences beside the masked words: each task makes its sequences and their labels.

- nsp, next sentence prediction (BERT, ERNIE 1.0): 1, B follows A; 0, B is of another place. Half and half.
- sop, sentence order prediction (ALBERT): 1, in order; 0, swapped.
- reorder, sentence reordering (ERNIE 2.0): a paragraph in 1 to 3 segments, shuffled; the label is the permutation,
  one of 1! + 2! + 3!.
- distance, sentence distance (ERNIE 2.0): 0, B follows A; 1, of the same document but not next; 2, of another. A
  third each, as far as documents are long enough for 1.

A segment that finds no partner is in a sequence without a label: no text is lost to the masked language model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import permutations

import numpy as np

from .packing import fill, segments
from .sequences import Collector, Sequences, Span
from .stream import Stream

PIECES = 3  # ERNIE 2.0's m
ORDERS = [order for count in range(1, PIECES + 1) for order in permutations(range(count))]
CLASSES = {"nsp": 2, "sop": 2, "reorder": len(ORDERS), "distance": 3}
Pair = tuple[int, Span, Span]  # a document's number, two segments of it that follow each other


class TextCorpus:
    """A stream that is cut anew each epoch; with several tasks each document is given to one of them."""

    def __init__(self, stream: Stream, tasks: tuple[str, ...] = ()) -> None:
        self.stream, self.tasks = stream, tasks

    def sequences(self, length: int, generator: np.random.Generator) -> Sequences:
        """All sequences of an epoch."""
        documents, found = generator.permutation(self.stream.document_count), Collector()
        if not self.tasks:
            return fill(self.stream, documents, length, generator)
        share = generator.integers(len(self.tasks), size=len(documents))
        for number, task in enumerate(self.tasks):
            mine = documents[share == number]
            if task == "reorder":
                _reorder(self.stream, mine, length, generator, found, number)
            else:
                _pairs(self.stream, mine, length, generator, found, number, task)
        return found.done()


def _pairs(
    stream: Stream,
    documents: np.ndarray,
    length: int,
    generator: np.random.Generator,
    found: Collector,
    task: int,
    name: str,
) -> None:
    """Neighbouring segments in pairs, of half a sequence each, so that any two fit together.

    All labels come from pairs, so that no length tells them. Last segments without a partner, two of any documents
    together, have none.
    """
    pairs: list[Pair] = []
    lone: list[Span] = []
    for document in documents.tolist():
        pieces = segments(stream, document, (length - 3) // 2)
        pairs += [(document, a, b) for a, b in zip(pieces[::2], pieces[1::2], strict=False)]
        if len(pieces) % 2:
            lone.append(pieces[-1])
    if name == "sop":
        for _, a, b in pairs:
            label = int(generator.random() < 0.5)
            found.add((a, b) if label else (b, a), task, label)
    elif name == "nsp":
        order = generator.permutation(len(pairs)).tolist()
        swapped = order[: len(pairs) // 2]
        for i, j in [
            *zip(swapped, [*swapped[1:], *swapped[:1]], strict=True),
            *((i, i) for i in order[len(swapped) :]),
        ]:
            found.add((pairs[i][1], pairs[j][2]), task, int(i == j))
    else:
        for i, j in _distances(pairs, generator):
            apart = _distance(pairs, i, j)
            found.add((pairs[i][1], pairs[j][2]), *(() if apart is None else (task, apart)))
    for first in range(0, len(lone), 2):
        found.add(lone[first : first + 2])


def _distances(pairs: list[Pair], generator: np.random.Generator) -> Iterator[tuple[int, int]]:
    """(i, j), each once: the first segment of pair i goes with the second of pair j; a third of each label."""
    third, owner = round(len(pairs) / 3), np.array([document for document, _, _ in pairs])
    rest = set(range(len(pairs)))
    for document in generator.permutation(np.unique(owner)).tolist():
        own = np.flatnonzero(owner == document)
        wanted = min(len(own), max(3, third - (len(pairs) - len(rest))))
        if wanted < 3 or len(pairs) - len(rest) >= third:
            continue
        same = np.sort(generator.choice(own, wanted, replace=False)).tolist()
        rest -= set(same)
        yield from zip(same, [*same[1:], *same[:1]], strict=True)  # of three and more, none is next to its partner
    order = generator.permutation(sorted(rest)).tolist()
    near, far = order[:third], order[third:]
    yield from ((i, i) for i in near)
    # By document, and on by as many as the longest has: partners are of two documents, where there are two.
    rank = dict(zip(generator.permutation(np.unique(owner)).tolist(), range(len(pairs)), strict=False))
    far.sort(key=lambda i: rank[owner[i]])
    on = max(Counter(owner[far].tolist()).values(), default=0)
    yield from zip(far, [*far[on:], *far[:on]], strict=True)


def _distance(pairs: list[Pair], i: int, j: int) -> int | None:
    """The label; None for neighbours in the wrong order."""
    if pairs[i][0] != pairs[j][0]:
        return 2
    return 0 if i == j else None if j == i - 1 else 1


def _reorder(
    stream: Stream,
    documents: np.ndarray,
    length: int,
    generator: np.random.Generator,
    found: Collector,
    task: int,
) -> None:
    most = max(1, (length - 1 - PIECES) // PIECES)
    for document in documents.tolist():
        pieces = segments(stream, document, most)
        for first in range(0, len(pieces), PIECES):
            group = pieces[first : first + PIECES]
            orders = [number for number, order in enumerate(ORDERS) if len(order) == len(group)]
            label = int(generator.choice(orders))
            found.add([group[i] for i in ORDERS[label]], task, label)
