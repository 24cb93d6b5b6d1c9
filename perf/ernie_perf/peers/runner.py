"""Rounds of all peers in turn, on the same texts; a peer whose answers differ gets no figures."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field

import numpy as np

from ..errors import PeerError
from .answers import Answer, answers_of
from .base import Peer, free_port, unfit
from .case import Case, Item
from .closed_loop import Run
from .model import PlainModel
from .plain import PlainTokenizer

WARM_UP = 4  # requests a caller before the first round


@dataclass(frozen=True)
class Round:
    """One pass of one peer over the texts; milliseconds."""

    rate: float  # texts a second
    p50: float
    p95: float
    p99: float


@dataclass
class Result:
    """What became of a peer: its rounds, or why there are none."""

    name: str
    what: str
    rounds: list[Round] = field(default_factory=list)
    skipped: str = ""  # could not be measured here
    refused: str = ""  # answered otherwise, or failed while it was measured

    @property
    def median(self) -> Round:
        """Of each figure over the rounds."""
        rows = [asdict(one) for one in self.rounds]
        return Round(**{name: statistics.median(row[name] for row in rows) for name in rows[0]})


def reference(case: Case, items: Sequence[Item]) -> list[Answer]:
    """The model's answer to each item alone, without any padding."""
    model = PlainModel(asdict(case))
    return [model([item])[0] for item in items]


def that_fit(case: Case, items: Sequence[Item]) -> list[Item]:
    """Items that the model reads whole and that every peer takes; the peers cut longer ones in ways of their own."""
    lengths = PlainTokenizer(asdict(case)).lengths(items)
    least = 2 + len(case.inputs)  # special tokens and a token a text
    return [item for item, n in zip(items, lengths, strict=True) if least <= n <= case.max_length and all(item)]


def measured(run: Run) -> Round:
    """The figures of a run."""
    p50, p95, p99 = (float(value) for value in np.percentile(np.array(run.latencies) * 1000, (50, 95, 99)))
    return Round(len(run.answers) / run.seconds, p50, p95, p99)


def difference(peer: Peer, case: Case, run: Run, expected: Sequence[Answer], items: Sequence[Item]) -> str:
    """What the first wrong answer is and how many there are; empty where all are right."""
    kind, wrong = answers_of(asdict(case)), []
    for body, right, item in zip(run.answers, expected, items, strict=True):
        try:
            off = kind.difference(peer.answer(body), right)
        except (KeyError, TypeError, ValueError, IndexError):
            wrong.append(f"{body[:200].decode(errors='replace')} is no answer")
            continue
        if off:
            wrong.append(f"{off} for {' | '.join(item)[:40]!r}")
    return f"{len(wrong)} of {len(items)} answers differ: {wrong[0]}" if wrong else ""


def compare(
    peers: Sequence[Peer],
    case: Case,
    items: Sequence[Item],
    concurrency: int,
    rounds: int,
    expected: Sequence[Answer],
    say: Callable[[str], object],
) -> list[Result]:
    """Start all, warm each up, then measure them in turn, every round beginning with another one."""
    results = {peer.name: Result(peer.name, peer.what) for peer in peers}
    up: list[Peer] = []
    with ExitStack() as stack:
        for peer in peers:
            result = results[peer.name]
            result.skipped = unfit(peer, case.kind)
            if not result.skipped:
                stack.callback(peer.stop)
                try:
                    say(f"{peer.name}: started, {peer.start(case, free_port(), items[0])}")
                    peer.run(list(items[: WARM_UP * concurrency]), concurrency)
                    up.append(peer)
                except PeerError as error:
                    result.skipped = str(error)
                    peer.stop()
            if result.skipped:
                say(f"{peer.name}: skipped, {result.skipped}")
        for number in range(rounds):
            turn = number % max(len(up), 1)
            for peer in [*up[turn:], *up[:turn]]:
                result = results[peer.name]
                if result.refused:
                    continue
                try:
                    run = peer.run(items, concurrency)
                    result.refused = difference(peer, case, run, expected, items)
                except PeerError as error:
                    result.refused = str(error)
                if result.refused:
                    result.rounds.clear()
                    peer.stop()
                    say(f"{peer.name}: refused, {result.refused}")
                    continue
                result.rounds.append(measured(run))
                say(f"round {number + 1}, {peer.name}: {result.rounds[-1].rate:.0f} texts/s")
    return list(results.values())
