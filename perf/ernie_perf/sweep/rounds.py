"""The rounds of a sweep: each measures every cell once before the next begins, so that what else the machine does
falls on all variants alike."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ernie_builders.console import say
from ernie_runtime.names import variant_ensemble
from ernie_runtime.steps.pipeline import Pipeline

from .. import processes
from ..errors import AnswerError, TargetError
from .answers import Answers
from .engine import ORDERS, run_engine
from .expected import Expected, check_manifest, expected_answers, write_input_data
from .load import PATIENCE, Analyzer, Load
from .options import QUICK_SECONDS, Settings
from .records import Cell, Recorder, kept_up
from .subjects import Subject
from .target import Target, stage_times


@dataclass(frozen=True)
class Prepared:
    """A variant, ready to be measured."""

    subject: Subject
    variant: str
    pipeline: Pipeline
    expected: Expected | None = None  # without a server: none
    data: Path = Path()  # perf_analyzer's input with what it is to check, for closed loops
    plain: Path = Path()  # without, for open loops
    steps: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """The ensemble."""
        return variant_ensemble(self.subject.manifest.task, self.variant)


def prepare(
    stack: ExitStack, repository: Path, subjects: Sequence[Subject], target: Target | None
) -> dict[str, Prepared]:
    """Ensemble -> what measuring it needs; its answers are compared with the pipeline in this process first."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ernie-perf-")))
    found = {}
    for subject in subjects:
        task = subject.manifest.task
        for variant in subject.variants:
            pipeline = Pipeline.load(repository, task, variant.name)
            one = Prepared(subject, variant.name, pipeline)
            if target is not None:
                check_manifest(subject.manifest, target.manifest(one.model), one.model)
                expected = expected_answers(target.grpc, pipeline, variant, subject.texts.items)
                data, plain = folder / f"{one.model}.json", folder / f"{one.model}-plain.json"
                write_input_data(expected, data)
                write_input_data(expected, plain, validate=False)
                one = Prepared(subject, variant.name, pipeline, expected, data, plain, target.steps(one.model))
                say(f"  {one.model}: the server's answers to {len(expected.items)} texts are the pipeline's")
            found[one.model] = one
    return found


@dataclass
class Sweep:
    """Runs what is not measured yet."""

    settings: Settings
    recorder: Recorder
    analyzer: Analyzer | None
    target: Target | None
    prepared: Mapping[str, Prepared]
    began: float  # on the monotonic clock: before the server was started
    failed: list[str] = field(default_factory=list)
    left_out: int = 0

    def cells(self) -> Iterator[tuple[Cell, Prepared]]:
        """All measurements in their order: round, load, variant."""
        for number in range(1, self.settings.rounds + 1):
            for load in self.settings.loads:
                for one in self.prepared.values():
                    yield self._cell(one, load.mode, load.value, number), one
            if self.settings.engine:
                for batch in self.settings.batches:
                    for order in ORDERS:
                        for one in self.prepared.values():
                            yield self._cell(one, "engine", batch, number, order), one

    def run(self) -> None:
        """Measure; every result is on disk before the next begins."""
        cells = list(self.cells())
        for number, (cell, one) in enumerate(cells, 1):
            if self.recorder.done(cell):
                continue
            if self.settings.quick and time.monotonic() - self.began > self.quick_budget():
                self.left_out += 1
                continue
            record = self.recorder.add(cell, self._measure(cell, one))
            if record.get("error"):
                self.failed.append(f"{cell.name()}: {record['error']}")
            say(f"  {number}/{len(cells)} {line(record)}")

    def quick_budget(self) -> float:
        """Seconds that may pass since the sweep began before no more is started; the rest is for the last one."""
        return QUICK_SECONDS - 60 - PATIENCE * self.settings.seconds

    def summary(self) -> str:
        """What came of it."""
        lines = [f"{len(self.recorder.records)} measurements in {self.recorder.folder}"]
        if self.left_out:
            lines.append(f"--quick: {self.left_out} were left out, 5 minutes are over; the same command goes on")
        lines += [f"failed: {line}" for line in self.failed]
        return "\n".join(lines)

    def _cell(self, one: Prepared, mode: str, value: float, number: int, order: str = "") -> Cell:
        return Cell(one.subject.manifest.task, one.variant, mode, float(value), number, order)

    def _measure(self, cell: Cell, one: Prepared) -> dict[str, Any]:
        if cell.mode == "engine":
            return self._engine(cell, one)
        if cell.mode == "rate" and (smaller := self._too_much(cell)) is not None:
            return {"skipped": f"{smaller:g} requests/s are not kept up"}
        return self._served(cell, one)

    def _too_much(self, cell: Cell) -> float | None:
        """A rate that the variant does not keep up, and this is more; or that failed: it would fill its queue again."""
        for other, record in self.recorder.records.items():
            same = (other.task, other.variant, other.mode) == (cell.task, cell.variant, cell.mode)
            if not same or other == cell or "skipped" in record:
                continue
            if record.get("error") and other.value <= cell.value:
                return other.value
            if not record.get("error") and not kept_up(record) and other.value < cell.value:
                return other.value
        return None

    def _engine(self, cell: Cell, one: Prepared) -> dict[str, Any]:
        texts = one.subject.texts
        count = min(self.settings.engine_texts, len(texts.items))
        windows = [window for window in texts.windows if window.owner < count]
        found = run_engine(one.pipeline, windows, count, int(cell.value), cell.order)
        return {
            "engine": one.pipeline.manifest.variant(one.variant).engine,
            "throughput": round(found.throughput, 2),
            "padding": {"real_tokens": found.real_tokens, "padding_tokens": found.padding_tokens},
        }

    def _served(self, cell: Cell, one: Prepared) -> dict[str, Any]:
        assert self.analyzer is not None and self.target is not None and one.expected is not None
        target, raw = self.target, self.recorder.raw(cell)
        figures: dict[str, Any] = {"engine": one.pipeline.manifest.variant(one.variant).engine, "errors": 0}
        stages, padding = target.statistics(one.steps), target.padding(one.steps)
        used = processes.usage(target.pid) if target.pid else {}
        try:
            load, answers = Load(cell.mode, cell.value), Answers(one.expected, self.settings.request_texts)
            # Of several texts perf_analyzer would compare all outputs with what is expected of the first.
            data = one.data if cell.mode == "concurrency" and answers.texts == 1 else one.plain
            figures |= self.analyzer.measure(target.grpc, one.model, load, self.settings.seconds, data, answers, raw)
            if figures["wrong"] > one.expected.allowed * max(1, figures["checked"]):
                example = json.dumps(figures["wrong_example"], ensure_ascii=False)[:300]
                raise AnswerError(f"{figures['wrong']} of {figures['checked']} answers are wrong, the first: {example}")
        except (TargetError, AnswerError) as error:
            figures |= {"errors": figures.get("wrong") or 1, "error": str(error)}
            target.settle(one.steps)
        figures["stages"] = stage_times(stages, target.statistics(one.steps))
        if target.pid:
            figures["processes"] = processes.spent(used, processes.usage(target.pid))
        if padding:
            now = target.padding(one.steps)
            figures["padding"] = {name: now[name] - before for name, before in padding.items()}
        return figures


def line(record: Mapping[str, Any]) -> str:
    """A record for the person who waits."""
    what = f"{record['task']}_{record['variant']}, round {record['round']}"
    if record["mode"] == "engine":
        return f"{what}: engine, batch {record['value']:g}, by {record['order']}: {record['throughput']:.0f} texts/s"
    load = Load(record["mode"], record["value"])
    if record.get("skipped"):
        return f"{what}: {load}: skipped, {record['skipped']}"
    if record.get("error"):
        return f"{what}: {load}: FAILED: {record['error']}"
    return (
        f"{what}: {load}: {record['throughput']:.0f} texts/s, p50 {record['p50_ms']:.1f}, p99 {record['p99_ms']:.1f} ms"
    )
