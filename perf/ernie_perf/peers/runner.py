"""Rounds of all peers in turn, on the same texts; a peer whose answers differ gets no figures."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field

import numpy as np

from ernie_runtime.json_types import JsonObject

from ..errors import PeerError
from .base import Peer, free_port, why_unfit
from .closed_loop import LoopResult
from .standalone import Answer, Case, Item, PlainModel, answers_of

WARM_UP_REQUESTS = 4  # per caller, before the first round
Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class RoundFigures:
    """One pass of one peer over the texts."""

    rate: float  # texts/s
    p50: float  # ms
    p95: float  # ms
    p99: float  # ms


@dataclass(kw_only=True)
class PeerResult:
    """What became of a peer: its rounds, or why there are none."""

    name: str
    description: str
    rounds: list[RoundFigures] = field(default_factory=list)
    skipped: str = ""  # why it could not be measured here
    refused: str = ""  # how its answers differ, or how it failed while it was measured

    @property
    def median(self) -> RoundFigures:
        """Of each figure over the rounds."""
        return RoundFigures(
            rate=statistics.median(r.rate for r in self.rounds),
            p50=statistics.median(r.p50 for r in self.rounds),
            p95=statistics.median(r.p95 for r in self.rounds),
            p99=statistics.median(r.p99 for r in self.rounds),
        )

    def to_json(self) -> JsonObject:
        """For peers.json, which calls the description `what`."""
        document = {"name": self.name, "what": self.description, "rounds": [asdict(r) for r in self.rounds]}
        document |= {"skipped": self.skipped, "refused": self.refused}
        return document | ({"median": asdict(self.median)} if self.rounds else {})


def reference_answers(case: Case, items: Sequence[Item]) -> list[Answer]:
    """The model's answer to each item by itself, without any padding."""
    model = PlainModel(case)
    return [model([item])[0] for item in items]


def round_figures(result: LoopResult) -> RoundFigures:
    """The figures of one pass."""
    p50, p95, p99 = (float(value) for value in np.percentile(np.array(result.latencies) * 1000, (50, 95, 99)))
    return RoundFigures(rate=len(result.answers) / result.seconds, p50=p50, p95=p95, p99=p99)


def difference(peer: Peer, case: Case, result: LoopResult, expected: Sequence[Answer], items: Sequence[Item]) -> str:
    """The first wrong answer and how many there are; empty where all are right."""
    answers, differences = answers_of(case), []
    for body, right, item in zip(result.answers, expected, items, strict=True):
        try:
            text = answers.difference(peer.answer(body), right)
        except (KeyError, TypeError, ValueError, IndexError):
            differences.append(f"{body[:200].decode(errors='replace')} is no answer")
            continue
        if text:
            differences.append(f"{text} for {' | '.join(item)[:40]!r}")
    return f"{len(differences)} of {len(items)} answers differ: {differences[0]}" if differences else ""


def compare(
    peers: Sequence[Peer],
    case: Case,
    items: Sequence[Item],
    *,
    concurrency: int,
    rounds: int,
    expected: Sequence[Answer],
    say: Say,
) -> list[PeerResult]:
    """Start all peers, warm each up, then measure them in turn; every round begins with another peer."""
    results = {peer.name: PeerResult(name=peer.name, description=peer.description) for peer in peers}
    with ExitStack() as stack:
        running = [peer for peer in peers if _start(stack, peer, results[peer.name], case, items, concurrency, say)]
        for number in range(rounds):
            first = number % max(len(running), 1)
            for peer in [*running[first:], *running[:first]]:
                result = results[peer.name]
                if result.refused:
                    continue
                try:
                    answered = peer.run(items, concurrency)
                    result.refused = difference(peer, case, answered, expected, items)
                except PeerError as error:
                    result.refused = str(error)
                if result.refused:
                    result.rounds.clear()
                    peer.stop()
                    say(f"{peer.name}: refused, {result.refused}")
                    continue
                result.rounds.append(round_figures(answered))
                say(f"round {number + 1}, {peer.name}: {result.rounds[-1].rate:.0f} texts/s")
    return list(results.values())


def _start(
    stack: ExitStack, peer: Peer, result: PeerResult, case: Case, items: Sequence[Item], concurrency: int, say: Say
) -> bool:
    """Start and warm up a peer that `stack` stops; where that fails, `result` says why it is skipped."""
    result.skipped = why_unfit(peer, case.kind)
    if not result.skipped:
        stack.callback(peer.stop)
        try:
            say(f"{peer.name}: started, {peer.start(case, free_port(), items[0])}")
            peer.run(list(items[: WARM_UP_REQUESTS * concurrency]), concurrency)
            return True
        except PeerError as error:
            result.skipped = str(error)
            peer.stop()
    say(f"{peer.name}: skipped, {result.skipped}")
    return False
