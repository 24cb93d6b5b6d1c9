"""What is learnt about sentences beside the masked words: each task makes its sequences and their labels.

- nsp, next sentence prediction (BERT, ERNIE 1.0): 1, B follows A; 0, B is of another place. Half and half.
- sop, sentence order prediction (ALBERT): 1, in order; 0, swapped.
- reorder, sentence reordering (ERNIE 2.0): a paragraph in 1 to 3 segments, shuffled; the label is the permutation,
  one of 1! + 2! + 3!.
- distance, sentence distance (ERNIE 2.0): 0, B follows A; 1, of the same document but not next; 2, of another.

A segment that finds no partner is a sequence without a label: no text is lost to the masked language model.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

from .packing import fill, segments
from .sequences import Collector, Sequences, Span
from .stream import Stream

PIECES = 3  # ERNIE 2.0's m
ORDERS = [order for count in range(1, PIECES + 1) for order in permutations(range(count))]
CLASSES = {"nsp": 2, "sop": 2, "reorder": len(ORDERS), "distance": 3}
Owned = list[tuple[int, Span]]  # segments, each with its document


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
    """Neighbouring segments in pairs, of half a sequence each, so that any two fit together."""
    pairs: list[tuple[int, Span, Span]] = []
    lone: Owned = []
    for document in documents.tolist():
        pieces = segments(stream, document, (length - 3) // 2)
        pairs += [(document, a, b) for a, b in zip(pieces[::2], pieces[1::2], strict=False)]
        if len(pieces) % 2:
            lone.append((document, pieces[-1]))
    if name == "sop":
        for _, a, b in pairs:
            label = int(generator.random() < 0.5)
            found.add((a, b) if label else (b, a), task, label)
    else:
        _exchange(pairs, lone, generator, found, task, name)
    if name == "sop" or len(lone) % 2:
        for _, span in lone if name == "sop" else lone[-1:]:
            found.add((span,))


def _exchange(
    pairs: list[tuple[int, Span, Span]],
    lone: Owned,
    generator: np.random.Generator,
    found: Collector,
    task: int,
    name: str,
) -> None:
    """Lone segments of different documents make strangers; pairs swap their second segments for the rest of them."""
    near, far = (1, 0) if name == "nsp" else (0, 2)
    for (_, a), (_, b) in zip(lone[:-1:2], lone[1::2], strict=False):
        found.add((a, b), task, far)
    strangers = (len(pairs) + len(lone) // 2) * (0.5 if name == "nsp" else 2 / 3) - len(lone) // 2
    order = generator.permutation(len(pairs)).tolist()
    swapped = order[: max(0, round(strangers))]
    if len(swapped) < 2:
        swapped = []
    for i in order[len(swapped) :]:
        found.add(pairs[i][1:], task, near)
    # A half of the swapped ones of `distance` among neighbours of one document, where it has several pairs.
    if name == "distance":
        swapped.sort(key=lambda i: pairs[i][0])
        half = len(swapped) // 2
        groups = [swapped[:half], generator.permutation(swapped[half:]).tolist()]
    else:
        groups = [swapped]
    for group in groups:
        for i, j in zip(group, [*group[1:], *group[:1]], strict=True):
            same = pairs[i][0] == pairs[j][0]
            label = (near if i == j else 1 if name == "distance" else far) if same else far
            found.add((pairs[i][1], pairs[j][2]), task, label)


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
