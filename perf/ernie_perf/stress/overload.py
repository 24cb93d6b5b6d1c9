"""`ernie-triton perf overload --task T --slo 500ms`: more requests than the server can answer; who is answered and how
soon, what becomes of the others, and how long the server takes to recover."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ernie_builders.config.tasks import TASKS_FILE
from ernie_runtime.command_line import CommandLine
from ernie_runtime.names import variant_ensemble
from ernie_runtime.steps.pipeline import Pipeline

from .. import processes
from ..command import DEFAULT_REPOSITORY, milliseconds, run_command
from ..errors import PerfError
from ..sweep.expected import expected_answers
from ..sweep.settings import TaskSelection
from ..sweep.tasks import select_one
from .load_client import LoadClient, Phase, RequestOutcome
from .own_server import check_answers, print_figures, server_of

CALLERS = 32  # of the closed loop that finds the sustained rate
WARM_UP_SECONDS = 1.0
RECOVERY_SHARE = 0.5  # of the sustained rate that is sent after the overload
RECOVERY_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class OverloadOptions:
    """What the command line asks for."""

    selection: TaskSelection
    slo_ms: float
    factor: float  # of the sustained rate, while overloaded
    seconds: float  # of the overload
    output: Path | None  # a JSON file
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was seen. Rates in requests/s."""

    task: str
    slo_ms: float
    sustained: float
    asked: float  # rate during the overload
    seconds: float  # of the overload
    requests: int  # of the overload
    answered: int
    answered_rate: float  # until the last answer, which without bounds may come long after the overload
    answered_p50_ms: float
    answered_p99_ms: float
    refused_p50_ms: float
    refused_p99_ms: float
    recovered_s: float  # from the end of the overload until the last failing request was sent; 0 where none was
    after: int  # requests after the overload
    unwell: int  # failing ones among them: refused, or slower than the SLO
    cpu_s: Mapping[str, float]  # CPU seconds of the overload, by role: `client`, and the server's processes

    def lines(self) -> list[str]:
        """For a person."""
        refused = self.requests - self.answered
        return [
            f"{self.task}: sustains {self.sustained:.0f} requests/s ({CALLERS} callers); SLO {self.slo_ms:g} ms",
            f"sent {self.asked:.0f} requests/s for {self.seconds:g} s: {self.answered:,} of {self.requests:,} answered"
            f" ({self.answered_rate:.0f} a second), {refused:,} refused with UNAVAILABLE",
            f"answered: p50 {self.answered_p50_ms:.0f}, p99 {self.answered_p99_ms:.0f} ms"
            f" ({self.answered_p99_ms / self.slo_ms:.2f} x the SLO)",
            f"refused: p50 {self.refused_p50_ms:.0f}, p99 {self.refused_p99_ms:.0f} ms",
            f"at {RECOVERY_SHARE:g} x the sustained rate, recovered after {self.recovered_s:.1f} s ({self.unwell} of"
            f" {self.after:,} requests refused or late)",
            "CPU seconds of the overload: " + ", ".join(f"{role} {cpu_s:.1f}" for role, cpu_s in self.cpu_s.items()),
        ]


def parse(argv: Sequence[str] | None = None) -> OverloadOptions:
    """Wrong usage exits with 2."""
    p = CommandLine(prog="ernie-triton perf overload", description=__doc__)
    p.add_argument("--repository", type=Path, default=DEFAULT_REPOSITORY, help="(default: %(default)s)")
    p.add_argument("--task", required=True, help="published with the bounds of [tasks.NAME.serving]")
    p.add_argument("--slo", type=milliseconds, required=True, help="what it was published with: 500ms, 0.5s, 500")
    p.add_argument("--factor", type=float, default=3.0, help="of the rate that the server sustains (default: 3)")
    p.add_argument("--seconds", type=float, default=10.0, help="of the overload (default: 10)")
    p.add_argument("--data-dir", type=Path, help="the task's dev texts (default: the sample that ships)")
    p.add_argument("--tasks-file", type=Path, default=TASKS_FILE, help="(default: the one that ships)")
    p.add_argument("--limit", type=int, default=2000, help="texts (default: 2000)")
    p.add_argument("--output", type=Path, help="write the figures and the machine to this JSON file")
    p.add_argument("--json", action="store_true", help="print the figures as one object")
    args = p.parse_args(argv)
    if args.factor <= 0 or args.seconds <= 0 or args.limit <= 0:
        p.error("--factor, --seconds and --limit must be above 0")
    selection = TaskSelection(
        repository=args.repository,
        tasks=args.task,
        tasks_file=args.tasks_file,
        texts={},
        data_dir=args.data_dir,
        limit=args.limit,
    )
    return OverloadOptions(
        selection=selection,
        slo_ms=args.slo,
        factor=args.factor,
        seconds=args.seconds,
        output=args.output,
        json=args.json,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 measured, 1 an error (one line), 2 usage, 130 interrupted."""
    options = parse(argv)

    def work() -> int:
        figures = overload(options)
        print_figures("".join(f"{line}\n" for line in figures.lines()), asdict(figures), options.output, options.json)
        return 0

    return run_command("ernie-triton perf overload", work)


def overload(options: OverloadOptions) -> Figures:
    """Start a server with the task alone, find the rate that it sustains, then send more.

    Errors: PerfError, BuildError, ErnieError, ServeError.
    """
    task, variant = select_one(options.selection)
    repository, model = options.selection.repository, variant_ensemble(task.name, variant.name)
    pipeline = Pipeline.load(repository, task.name, variant.name)
    with server_of(repository, model) as server:
        expected = expected_answers(server.grpc_address, pipeline, variant, task.texts.items)
        with LoadClient(server.grpc_address, model, expected.inputs, expected.items) as client:
            client.closed_loop(CALLERS, WARM_UP_SECONDS)
            closed = client.closed_loop(CALLERS, options.seconds / 2)
            sustained = sum(outcome.answered for outcome in closed) / max(outcome.ended for outcome in closed)
            cpu = _CpuTimer(server.pid, options.seconds)
            # Requests after the overload do not wait for its answers: the server must get over these too.
            outcomes = client.open_loop(
                Phase(rate=options.factor * sustained, seconds=options.seconds),
                Phase(rate=RECOVERY_SHARE * sustained, seconds=RECOVERY_SECONDS),
            )
            cpu_s = cpu.result()
    check_answers([*closed, *outcomes], expected)
    return figures_of(
        task.name,
        slo_ms=options.slo_ms,
        sustained=sustained,
        seconds=options.seconds,
        outcomes=outcomes,
        cpu_s=cpu_s,
    )


class _CpuTimer:
    """CPU seconds by role, from now on for so many seconds, while this thread sends requests."""

    def __init__(self, pid: int, seconds: float) -> None:
        self._pid = pid
        self._server_before, self._client_before = processes.usage_by_role(pid), time.process_time()
        self._cpu_s: dict[str, float] = {}
        self._timer = threading.Timer(seconds, self._read)
        self._timer.start()

    def _read(self) -> None:
        client = time.process_time() - self._client_before
        server = processes.used_between(self._server_before, processes.usage_by_role(self._pid))
        self._cpu_s = {"client": round(client, 2), **{role: used.cpu_s for role, used in server.items()}}

    def result(self) -> dict[str, float]:
        """Waits for the end of the time."""
        self._timer.join()
        return self._cpu_s


def figures_of(
    task: str,
    *,
    slo_ms: float,
    sustained: float,
    seconds: float,
    outcomes: Sequence[RequestOutcome],
    cpu_s: Mapping[str, float],
) -> Figures:
    """From the outcomes of the overload (sent in the first `seconds`) and of what was sent after it.

    Errors: PerfError where no request of the overload was answered.
    """
    overloaded = [outcome for outcome in outcomes if outcome.sent < seconds]
    after = [outcome for outcome in outcomes if outcome.sent >= seconds]
    answered = [outcome for outcome in overloaded if outcome.answered]
    refused = [outcome for outcome in overloaded if not outcome.answered]
    if not answered:
        raise PerfError(f"{task}: none of {len(overloaded)} requests was answered")
    failing = [outcome.sent - seconds for outcome in after if not outcome.answered or 1000 * outcome.seconds > slo_ms]
    return Figures(
        task=task,
        slo_ms=slo_ms,
        sustained=round(sustained, 1),
        asked=round(len(overloaded) / seconds, 1),
        seconds=seconds,
        requests=len(overloaded),
        answered=len(answered),
        answered_rate=round(len(answered) / max(seconds, *(outcome.ended for outcome in answered)), 1),
        answered_p50_ms=_percentile_ms(answered, 50),
        answered_p99_ms=_percentile_ms(answered, 99),
        refused_p50_ms=_percentile_ms(refused, 50),
        refused_p99_ms=_percentile_ms(refused, 99),
        recovered_s=round(max(failing, default=0.0), 2),
        after=len(after),
        unwell=len(failing),
        cpu_s=dict(cpu_s),
    )


def _percentile_ms(outcomes: Sequence[RequestOutcome], percent: float) -> float:
    """Of the latencies; 0 of none."""
    value: Any = np.percentile([1000 * outcome.seconds for outcome in outcomes], percent) if outcomes else 0.0
    return round(float(value), 2)


if __name__ == "__main__":
    sys.exit(main())
