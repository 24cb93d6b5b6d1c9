"""Sentence tasks, trained beside the masked language model: each makes its sequences and their labels.

- nsp, next sentence prediction (BERT, ERNIE 1.0): 1 if B follows A, 0 if B comes from elsewhere; half of each.
- sop, sentence order prediction (ALBERT): 1 if the two are in order, 0 if they are swapped.
- reorder, sentence reordering (ERNIE 2.0): a paragraph in 1 to 3 segments, shuffled; the label is the permutation,
  one of 1! + 2! + 3!.
- distance, sentence distance (ERNIE 2.0): 0 if B follows A, 1 if it is elsewhere in the same document, 2 if it is in
  another one; a third of each, if the documents are long enough for label 1.

A segment without a partner goes into a sequence without a label, so the masked language model sees all text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import permutations

import numpy as np

from .packing import fill, segments
from .sequences import Collector, Sequences, Span
from .stream import Stream

PIECES = 3  # segments of a paragraph; m in ERNIE 2.0
ORDERS = [order for count in range(1, PIECES + 1) for order in permutations(range(count))]
CLASSES = {"nsp": 2, "sop": 2, "reorder": len(ORDERS), "distance": 3}
Pair = tuple[int, Span, Span]  # index of a document, two consecutive segments of it


class TextCorpus:
    """A stream that is cut anew in each epoch; with several tasks each document goes to one of them."""

    def __init__(self, stream: Stream, tasks: tuple[str, ...] = ()) -> None:
        self.stream, self.tasks = stream, tasks

    def sequences(self, length: int, generator: np.random.Generator) -> Sequences:
        """All sequences of an epoch."""
        documents, collector = generator.permutation(self.stream.document_count), Collector()
        if not self.tasks:
            return fill(self.stream, documents, length, generator)
        task_of_document = generator.integers(len(self.tasks), size=len(documents))
        for number, task in enumerate(self.tasks):
            own_documents = documents[task_of_document == number]
            if task == "reorder":
                _reorder(self.stream, own_documents, length, generator, collector, number)
            else:
                _pairs(self.stream, own_documents, length, generator, collector, number, task)
        return collector.done()


def _pairs(
    stream: Stream,
    documents: np.ndarray,
    length: int,
    generator: np.random.Generator,
    collector: Collector,
    task: int,
    task_name: str,
) -> None:
    """Neighbouring segments in pairs, each of at most half a sequence, so that any two fit together.

    Labels come from pairs alone, so that the length gives no label away. Last segments without a partner are joined by
    two, of any documents, and have no label.
    """
    pairs: list[Pair] = []
    unpaired: list[Span] = []
    for document in documents.tolist():
        spans = segments(stream, document, (length - 3) // 2)
        pairs += [(document, a, b) for a, b in zip(spans[::2], spans[1::2], strict=False)]
        if len(spans) % 2:
            unpaired.append(spans[-1])
    if task_name == "sop":
        for _, a, b in pairs:
            label = int(generator.random() < 0.5)
            collector.add((a, b) if label else (b, a), task, label)
    elif task_name == "nsp":
        order = generator.permutation(len(pairs)).tolist()
        shuffled, in_order = order[: len(pairs) // 2], order[len(pairs) // 2 :]
        partners = zip(shuffled, [*shuffled[1:], *shuffled[:1]], strict=True)
        for i, j in [*partners, *((i, i) for i in in_order)]:
            collector.add((pairs[i][1], pairs[j][2]), task, int(i == j))
    else:
        for i, j in _distances(pairs, generator):
            distance = _distance(pairs, i, j)
            parts = (pairs[i][1], pairs[j][2])
            if distance is None:
                collector.add(parts)
            else:
                collector.add(parts, task, distance)
    for start in range(0, len(unpaired), 2):
        collector.add(unpaired[start : start + 2])


def _distances(pairs: list[Pair], generator: np.random.Generator) -> Iterator[tuple[int, int]]:
    """(i, j), each once: the first segment of pair i is joined with the second of pair j; a third of each label."""
    third, document_of_pair = round(len(pairs) / 3), np.array([document for document, _, _ in pairs])
    unused = set(range(len(pairs)))
    for document in generator.permutation(np.unique(document_of_pair)).tolist():
        candidates = np.flatnonzero(document_of_pair == document)
        count = min(len(candidates), max(3, third - (len(pairs) - len(unused))))
        if count < 3 or len(pairs) - len(unused) >= third:
            continue
        chosen = np.sort(generator.choice(candidates, count, replace=False)).tolist()
        unused -= set(chosen)
        yield from zip(
            chosen, [*chosen[1:], *chosen[:1]], strict=True
        )  # of three or more, no segment gets the one after it
    order = generator.permutation(sorted(unused)).tolist()
    neighbours, others = order[:third], order[third:]
    yield from ((i, i) for i in neighbours)
    # Sorted by document and shifted by as many as the largest has: partners come from two documents, if there are two.
    rank = dict(zip(generator.permutation(np.unique(document_of_pair)).tolist(), range(len(pairs)), strict=False))
    others.sort(key=lambda i: rank[document_of_pair[i]])
    shift = max(Counter(document_of_pair[others].tolist()).values(), default=0)
    yield from zip(others, [*others[shift:], *others[:shift]], strict=True)


def _distance(pairs: list[Pair], i: int, j: int) -> int | None:
    """The label of (i, j); None for neighbours in the wrong order."""
    if pairs[i][0] != pairs[j][0]:
        return 2
    return 0 if i == j else None if j == i - 1 else 1


def _reorder(
    stream: Stream,
    documents: np.ndarray,
    length: int,
    generator: np.random.Generator,
    collector: Collector,
    task: int,
) -> None:
    segment_tokens = max(1, (length - 1 - PIECES) // PIECES)
    for document in documents.tolist():
        spans = segments(stream, document, segment_tokens)
        for first in range(0, len(spans), PIECES):
            group = spans[first : first + PIECES]
            orders = [number for number, order in enumerate(ORDERS) if len(order) == len(group)]
            label = int(generator.choice(orders))
            collector.add([group[i] for i in ORDERS[label]], task, label)
