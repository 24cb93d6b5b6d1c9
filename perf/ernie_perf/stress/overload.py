"""`ernie-triton perf overload --task T --slo 500ms`: more requests than the server can answer; who is answered and how
soon, what becomes of the others, and how long it takes to be well again."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ernie_builders.config.tasks import TASKS_FILE
from ernie_runtime.names import variant_ensemble
from ernie_runtime.steps.pipeline import Pipeline

from .. import processes
from ..errors import PerfError
from ..report.plan import milliseconds
from ..sweep.expected import expected_answers
from ..sweep.subjects import find_subjects
from .load_client import Client, Outcome
from .own_server import check_answers, command, server_of

CALLERS = 32  # of the closed loop that finds what the server sustains
AFTER = 0.5  # of that rate, once the flood is over
RECOVERY = 10.0  # seconds that it is asked at that rate


@dataclass(frozen=True)
class Figures:
    """What was seen. Rates in requests a second, latencies in ms.

    answered_rate: until the last answer, which without bounds may come long after the flood.
    recovered_s: from the end of the flood to the last moment when a request was sent that was refused or took longer
    than the SLO; 0 where none was. unwell: such requests, of `after`. cpu_s: CPU seconds of the flood, of this client
    and of the server's processes.
    """

    task: str
    slo_ms: float
    sustained: float
    asked: float
    seconds: float
    requests: int
    answered: int
    answered_rate: float
    answered_p50_ms: float
    answered_p99_ms: float
    refused_p50_ms: float
    refused_p99_ms: float
    recovered_s: float
    after: int
    unwell: int
    cpu_s: Mapping[str, float]

    def lines(self) -> list[str]:
        """For a person."""
        refused = self.requests - self.answered
        return [
            f"{self.task}: sustains {self.sustained:.0f} requests/s ({CALLERS} callers); SLO {self.slo_ms:g} ms",
            f"asked {self.asked:.0f} requests/s for {self.seconds:g} s: {self.answered:,} of {self.requests:,} answered"
            f" ({self.answered_rate:.0f} a second), {refused:,} refused with UNAVAILABLE",
            f"answered: p50 {self.answered_p50_ms:.0f}, p99 {self.answered_p99_ms:.0f} ms"
            f" ({self.answered_p99_ms / self.slo_ms:.2f} x the SLO)",
            f"refused: p50 {self.refused_p50_ms:.0f}, p99 {self.refused_p99_ms:.0f} ms",
            f"at {AFTER:g} x what it sustains, it is well again after {self.recovered_s:.1f} s ({self.unwell} of"
            f" {self.after:,} requests refused or late)",
            "CPU seconds of the flood: " + ", ".join(f"{role} {spent:.1f}" for role, spent in self.cpu_s.items()),
        ]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="ernie-triton perf overload", description=__doc__)
    p.add_argument("--repository", type=Path, default=Path("model_repository"))
    p.add_argument("--task", required=True, help="published with the bounds of [tasks.NAME.serving]")
    p.add_argument("--slo", type=milliseconds, required=True, help="what it was published with: 500ms, 0.5s, 500")
    p.add_argument("--factor", type=float, default=3.0, help="of what the server sustains (default 3)")
    p.add_argument("--seconds", type=float, default=10.0, help="of the flood (default 10)")
    p.add_argument("--data-dir", type=Path, help="the task's dev texts; default: the sample that ships")
    p.add_argument("--tasks-file", type=Path, default=TASKS_FILE)
    p.add_argument("--limit", type=int, default=2000, help="texts")
    p.add_argument("--output", type=Path, help="the figures and the machine as JSON")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 measured, 1 a fault (one line), 2 usage, 130 interrupted."""
    arguments = parser()
    args = arguments.parse_args(argv)
    if args.factor <= 0 or args.seconds <= 0 or args.limit <= 0:
        arguments.error("--factor, --seconds and --limit must be above 0")

    def measure() -> tuple[str, dict[str, Any]]:
        figures = overload(args)
        return "".join(f"{line}\n" for line in figures.lines()), figures.__dict__

    return command("ernie-triton perf overload", measure, args.output)


def overload(args: argparse.Namespace) -> Figures:
    """Start a server with the task alone, and do what the command line asks for."""
    (subject,) = find_subjects(
        args.repository, args.task, "recommended", args.tasks_file, {}, args.data_dir, args.limit
    )
    (variant,) = subject.variants
    task = subject.manifest.task
    pipeline = Pipeline.load(args.repository, task, variant.name)
    model = variant_ensemble(task, variant.name)
    with server_of(args.repository, model) as server:
        expected = expected_answers(server.grpc_address, pipeline, variant, subject.texts.items)
        client = Client(server.grpc_address, model, expected.inputs, expected.items)
        try:
            client.closed(CALLERS, 1.0)
            loop = client.closed(CALLERS, args.seconds / 2)
            sustained = sum(1 for one in loop if not one.status) / max(one.sent + one.seconds for one in loop)
            before, spent = processes.usage(server.pid), time.process_time()
            ended: list[tuple[Any, float]] = []  # what was used when the flood ended
            timer = threading.Timer(
                args.seconds, lambda: ended.append((processes.usage(server.pid), time.process_time()))
            )
            timer.start()
            # What comes after the flood does not wait for its answers: they are part of what the server must get over.
            both = client.poisson((args.factor * sustained, args.seconds), (AFTER * sustained, RECOVERY))
            timer.join()
        finally:
            client.close()
    check_answers([*loop, *both], expected)
    (usage, spent_then) = ended[0]
    used = processes.spent(before, usage)
    cpu = {"client": round(spent_then - spent, 2), **{role: part["cpu_s"] for role, part in used.items()}}
    return figures_of(task, args.slo, sustained, args.seconds, both, cpu)


def figures_of(
    task: str,
    slo_ms: float,
    sustained: float,
    seconds: float,
    outcomes: Sequence[Outcome],
    cpu_s: Mapping[str, float],
) -> Figures:
    """From what became of the requests, of the flood (sent in the first `seconds`) and after it.

    Errors: PerfError where none of the flood was answered.
    """
    flood, after = ([one for one in outcomes if (one.sent < seconds) == first] for first in (True, False))
    answered = [one for one in flood if not one.status]
    refused = [one for one in flood if one.status]
    if not answered:
        raise PerfError(f"{task}: none of {len(flood)} requests was answered")
    unwell = [one.sent - seconds for one in after if one.status or 1000 * one.seconds > slo_ms]
    return Figures(
        task=task,
        slo_ms=slo_ms,
        sustained=round(sustained, 1),
        asked=round(len(flood) / seconds, 1),
        seconds=seconds,
        requests=len(flood),
        answered=len(answered),
        answered_rate=round(len(answered) / max(seconds, *(one.sent + one.seconds for one in answered)), 1),
        answered_p50_ms=_percentile(answered, 50),
        answered_p99_ms=_percentile(answered, 99),
        refused_p50_ms=_percentile(refused, 50),
        refused_p99_ms=_percentile(refused, 99),
        recovered_s=round(max(unwell, default=0.0), 2),
        after=len(after),
        unwell=len(unwell),
        cpu_s=dict(cpu_s),
    )


def _percentile(outcomes: Sequence[Outcome], percent: float) -> float:
    """Of the latencies, ms; 0 of none."""
    values: Any = np.percentile([1000 * one.seconds for one in outcomes], percent) if outcomes else 0.0
    return round(float(values), 2)
