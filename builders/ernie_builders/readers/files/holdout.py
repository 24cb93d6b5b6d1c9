"""Training rows that are held out, to choose the best checkpoint and thresholds by.

Dev rows take no part in any choice, so that their figure holds for text that nobody looked at.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from .. import Example

SHARE = 10  # one row in so many, at most
FEWEST = 100  # of fewer rows the luckiest checkpoint would be chosen, not the best


def hold_out(
    examples: Sequence[Example], rows: int, seed: int, fewest: int = FEWEST
) -> tuple[list[Example], list[Example]]:
    """(rows to train on, held-out rows), each in the order of `examples`.

    rows: how many to hold out; at most a tenth of all are. Where that would be fewer than `fewest`, none is. Rows that
    share their longest text (the context of questions, the first sentence of pairs, a duplicate) or their group stay
    together, and the groups are taken so that each target keeps its share.
    """
    wanted = min(rows, len(examples) // SHARE)
    if wanted < fewest:
        return list(examples), []
    groups = _groups(examples)
    by_target: dict[str, list[list[int]]] = defaultdict(list)
    for group in groups:
        by_target[_target(examples[group[0]])].append(group)
    # Groups of a target are spread evenly over 0 to 1 in shuffled order; the lowest positions are held out.
    random = np.random.default_rng(seed)
    placed: list[tuple[float, list[int]]] = []
    for target in sorted(by_target):
        offset, order = random.random(), random.permutation(len(by_target[target]))
        placed += [((rank + offset) / len(order), by_target[target][i]) for rank, i in enumerate(order)]
    held_out: set[int] = set()
    for _, group in sorted(placed):
        if len(held_out) + len(group) <= wanted:
            held_out.update(group)
    train = [example for index, example in enumerate(examples) if index not in held_out]
    return train, [examples[index] for index in sorted(held_out)]


def smallest_group(examples: Sequence[Example]) -> int:
    """How many rows the smallest group has of rows that stay together."""
    return min(map(len, _groups(examples)), default=0)


def _groups(examples: Sequence[Example]) -> list[list[int]]:
    """Indices of the rows that stay together, in order of the first: through a text, a group, or a chain of both."""
    texts: dict[str, int] = {}  # longest text -> the first row that has it
    names: dict[str, int] = {}
    parents = list(range(len(examples)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = index = parents[parents[index]]
        return index

    for index, example in enumerate(examples):
        first = texts.setdefault(max(example.texts, key=len), index)
        roots = {root(index), root(first), root(names.setdefault(example.group, index)) if example.group else index}
        for other in roots:
            parents[root(other)] = min(roots)
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(examples)):
        groups[root(index)].append(index)
    return list(groups.values())


def _target(example: Example) -> str:
    """The label that a row is stratified by; empty where the target is no label."""
    target = example.target
    return json.dumps(target, ensure_ascii=False) if isinstance(target, str) else ""
