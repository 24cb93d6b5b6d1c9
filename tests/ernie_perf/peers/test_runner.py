"""Measuring and checking, with the bare engine as a real peer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ernie_perf.errors import PeerError
from ernie_perf.peers.base import Peer, ServerPeer
from ernie_perf.peers.case import items_that_fit
from ernie_perf.peers.closed_loop import LoopResult
from ernie_perf.peers.engine import EnginePeer
from ernie_perf.peers.report import ComparisonSettings, TokenLengths, to_json, to_markdown
from ernie_perf.peers.runner import PeerResult, compare, reference_answers, round_figures
from ernie_perf.peers.servers import INFINITY
from ernie_perf.peers.standalone import Case, Item

SETTINGS = ComparisonSettings(
    texts=60, left_out=0, tokens=TokenLengths(min=3, mean=9.5, max=22), concurrency=4, rounds=3
)


class Changed(EnginePeer):
    """An engine that tells other scores, or another label for one text."""

    name = "changed"

    def __init__(self, by: float = 0.0, wrong: int = -1) -> None:
        self.by, self.wrong = by, wrong

    def run(self, items: Sequence[Item], concurrency: int) -> LoopResult:
        run = super().run(items, concurrency)
        for i, body in enumerate(run.answers):
            answer = json.loads(body)
            answer["score"] -= self.by
            if i == self.wrong:
                answer["label"] += "er"
            run.answers[i] = json.dumps(answer).encode()
        return run


class Failing(EnginePeer):
    """An engine that stops answering in its second round."""

    name = "failing"
    runs = 0

    def run(self, items: Sequence[Item], concurrency: int) -> LoopResult:
        self.runs += 1
        if self.runs > 3:  # start, warm-up, a round
            raise PeerError("no answer for 60 s")
        return super().run(items, concurrency)


class NotHere(EnginePeer):
    """Needs a package that nobody has."""

    name = "not-here"
    packages = ("no_such_package_anywhere",)
    extra = "peers"


class CannotStart(EnginePeer):
    name = "cannot-start"

    def start(self, case: Case, port: int, example: Item) -> str:
        raise PeerError("its port is taken")


def compared(case: Case, items: list[Item], *peers: Peer, rounds: int = 3) -> tuple[list[PeerResult], list[str]]:
    lines: list[str] = []
    expected = reference_answers(case, items)
    results = compare(peers, case, items, concurrency=4, rounds=rounds, expected=expected, say=lines.append)
    return results, lines


def test_right_answers_are_measured(case: Case, items: list[Item]) -> None:
    (result,), lines = compared(case, items, EnginePeer())
    assert len(result.rounds) == 3 and not result.refused and not result.skipped
    for figures in result.rounds:
        assert figures.rate > 0 and 0 < figures.p50 <= figures.p95 <= figures.p99
    assert len(lines) == 4
    table = to_markdown(case, SETTINGS, [result])
    assert f"| engine | {result.median.rate:.0f} |" in table and "| 100% |" in table
    (row,) = to_json(case, SETTINGS, [result])["peers"]
    assert row["median"]["rate"] == sorted(figures.rate for figures in result.rounds)[1]


@pytest.mark.parametrize(
    ("peer", "says"),
    [
        (Changed(wrong=7), "1 of 60 answers differ: "),
        (Changed(by=2e-3), "60 of 60 answers differ: "),
        (Changed(by=float("nan")), "60 of 60 answers differ: "),
        (Failing(), "no answer for 60 s"),
    ],
)
def test_others_get_no_figures(case: Case, items: list[Item], peer: Peer, says: str) -> None:
    (good, bad), lines = compared(case, items, EnginePeer(), peer)
    assert len(good.rounds) == 3
    assert bad.refused.startswith(says) and not bad.rounds
    assert any(line.startswith(f"{bad.name}: refused, ") for line in lines)
    table = to_markdown(case, SETTINGS, [good, bad])
    assert f"- {bad.name}: refused, {says}" in table and f"| {bad.name} |" not in table
    assert "median" not in to_json(case, SETTINGS, [bad])["peers"][0]


class Turned(EnginePeer):
    """An engine whose vectors are a little off, or too short, for the last text."""

    def __init__(self, name: str, by: float = 0.0, elements: int = 3) -> None:
        self.name, self.by, self.elements = name, by, elements

    def run(self, items: Sequence[Item], concurrency: int) -> LoopResult:
        run = super().run(items, concurrency)
        vector = json.loads(run.answers[-1])["embedding"]
        run.answers[-1] = json.dumps({"embedding": [vector[0] + self.by, *vector[1:]][: self.elements]}).encode()
        return run


@pytest.mark.parametrize(
    ("peer", "says"),
    [(Turned("off", 2e-3), "a vector that is off by 0.0020 for "), (Turned("short", elements=2), '{"embedding": ')],
)
def test_vectors_are_measured_and_compared(vectors: Case, items: list[Item], peer: Peer, says: str) -> None:
    (good, close, bad), _ = compared(vectors, items, EnginePeer(), Turned("close", 5e-4), peer, rounds=2)
    assert len(good.rounds) == len(close.rounds) == 2
    assert bad.refused.startswith(f"1 of 60 answers differ: {says}") and not bad.rounds
    expected = np.array([answer["embedding"] for answer in reference_answers(vectors, items)])
    assert np.allclose(np.linalg.norm(expected, axis=1), 1)
    assert np.abs(expected - expected[0]).max() > 0.1


def test_what_serves_embeddings_only_is_skipped(case: Case, items: list[Item]) -> None:
    (result,), _ = compared(case, items, ServerPeer(INFINITY), rounds=1)
    assert result.skipped == "serves embedding only; the task is sequence_classification"


def test_rounding_is_no_difference(case: Case, items: list[Item]) -> None:
    (result,), _ = compared(case, items, Changed(by=5e-4), rounds=1)
    assert len(result.rounds) == 1


def test_what_cannot_run_is_skipped(case: Case, items: list[Item]) -> None:
    results, _ = compared(case, items, NotHere(), CannotStart(), EnginePeer(), rounds=1)
    assert results[0].skipped == "not installed (no_such_package_anywhere): pip install '.[peers]'"
    assert results[1].skipped == "its port is taken"
    assert len(results[2].rounds) == 1
    assert "- not-here: skipped, not installed" in to_markdown(case, SETTINGS, results)


def test_figures_of_a_run() -> None:
    result = LoopResult(seconds=2.0, latencies=[n / 1000 for n in range(1, 102)], answers=[b""] * 101)
    figures = round_figures(result)
    assert (figures.rate, round(figures.p50, 6), round(figures.p95, 6), round(figures.p99, 6)) == (
        50.5,
        51.0,
        96.0,
        100.0,
    )


def test_padding_and_pairs_change_no_answer(case: Case, items: list[Item]) -> None:
    pairs = [(a[0], b[0][:8]) for a, b in pairwise(items)]
    pair_case = replace(case, inputs=("TEXT", "TEXT_PAIR"), max_length=64)
    (result,), _ = compared(pair_case, pairs, EnginePeer(), rounds=1)
    assert len(result.rounds) == 1
    answers = reference_answers(pair_case, pairs)
    assert {answer["label"] for answer in answers} > {answers[0]["label"]}
    single: list[Any] = reference_answers(case, [(pair[0],) for pair in pairs])
    assert not np.allclose([a["score"] for a in answers], [a["score"] for a in single], atol=1e-2)


def test_texts_that_no_peer_would_read_whole_are_left_out(case: Case) -> None:
    items: list[Item] = [("今天",), ("",), ("  ",), ("好" * 30,), ("好" * 31,)]
    assert items_that_fit(case, items) == [("今天",), ("好" * 30,)]
