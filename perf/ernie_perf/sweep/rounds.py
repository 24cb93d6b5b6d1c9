"""The rounds of a sweep: each measures every cell once before the next begins, so that whatever else the machine does
affects all variants alike."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ernie_builders.console import say
from ernie_runtime.json_types import JsonObject
from ernie_runtime.names import variant_ensemble
from ernie_runtime.steps.pipeline import Pipeline

from .. import processes
from ..errors import AnswerError, TargetError
from .analyzer import PATIENCE, Analyzer
from .answers import AnswerChecker
from .engine import ORDERS, measure_engine
from .expected import ExpectedAnswers, check_manifest, expected_answers, write_input_data
from .records import (
    Cell,
    EngineRecord,
    LoadFigures,
    PaddingTokens,
    Record,
    ServedRecord,
    SkippedRecord,
    is_sustained,
)
from .run import Recorder
from .settings import CONCURRENCY, ENGINE, RATE, Load, SweepSettings
from .target import Target, stages_between
from .tasks import MeasuredTask

QUICK_SECONDS = 300.0  # that a sweep with --quick may take


@dataclass(frozen=True, kw_only=True)
class Served:
    """What measuring a variant on the server needs."""

    expected: ExpectedAnswers
    checked_data: Path  # perf_analyzer's input with what it is to compare, for closed loops
    plain_data: Path  # the same without, for open loops and several texts per request
    step_models: tuple[str, ...]
    precision: str  # that the server computes in, where its configuration says so


@dataclass(frozen=True, kw_only=True)
class PreparedVariant:
    """A variant, ready to be measured."""

    task: MeasuredTask
    variant: str
    pipeline: Pipeline
    served: Served | None = None  # None: only the bare encoder is measured

    @property
    def model(self) -> str:
        """The ensemble."""
        return variant_ensemble(self.task.name, self.variant)

    @property
    def engine(self) -> str:
        """The encoder's Triton backend."""
        return self.pipeline.manifest.variant(self.variant).engine


def prepare(
    stack: ExitStack, repository: Path, tasks: Sequence[MeasuredTask], target: Target | None
) -> list[PreparedVariant]:
    """Load every variant and compare the server's answers with it. Errors: AnswerError, TargetError, ErnieError."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ernie-perf-")))
    prepared = []
    for task in tasks:
        for variant in task.variants:
            pipeline = Pipeline.load(repository, task.name, variant.name)
            served = None
            if target is not None:
                model = variant_ensemble(task.name, variant.name)
                check_manifest(task.manifest, target.manifest(model), model)
                expected = expected_answers(target.grpc, pipeline, variant, task.texts.items)
                served = Served(
                    expected=expected,
                    checked_data=folder / f"{model}.json",
                    plain_data=folder / f"{model}-plain.json",
                    step_models=(steps := target.step_models(model)),
                    precision=target.precision(steps),
                )
                write_input_data(expected, served.checked_data)
                write_input_data(expected, served.plain_data, validate=False)
                say(f"  {model}: the server's answers to {len(expected.items)} texts are the pipeline's")
            prepared.append(PreparedVariant(task=task, variant=variant.name, pipeline=pipeline, served=served))
    return prepared


@dataclass(kw_only=True)
class Sweep:
    """Runs what is not measured yet."""

    settings: SweepSettings
    recorder: Recorder
    analyzer: Analyzer | None
    target: Target | None
    variants: Sequence[PreparedVariant]
    started_at: float  # on the monotonic clock, before the server was started
    failures: list[str] = field(default_factory=list)
    left_out: int = 0  # cells, by --quick

    def cells(self) -> Iterator[tuple[Cell, PreparedVariant]]:
        """All measurements in their order: round, load, variant."""
        for number in range(1, self.settings.rounds + 1):
            for load in self.settings.loads:
                for variant in self.variants:
                    yield _cell(variant, load.mode, load.value, number), variant
            if self.settings.engine:
                for batch in self.settings.batches:
                    for order in ORDERS:
                        for variant in self.variants:
                            yield _cell(variant, ENGINE, batch, number, order), variant

    def run(self) -> None:
        """Measure; every result is on disk before the next measurement begins."""
        cells = list(self.cells())
        for number, (cell, variant) in enumerate(cells, 1):
            if self.recorder.is_done(cell):
                continue
            if self.settings.quick and time.monotonic() - self.started_at > self.quick_budget():
                self.left_out += 1
                continue
            record = self._measure(cell, variant)
            self.recorder.add(record)
            if isinstance(record, ServedRecord) and record.error:
                self.failures.append(f"{cell.name()}: {record.error}")
            say(f"  {number}/{len(cells)} {progress_line(record)}")

    def quick_budget(self) -> float:
        """Seconds since the sweep began after which no measurement is started; the rest is for the last one."""
        return QUICK_SECONDS - 60 - PATIENCE * self.settings.seconds

    def summary(self) -> str:
        """For a person, when the sweep has ended."""
        lines = [f"{len(self.recorder.records)} measurements in {self.recorder.folder}"]
        if self.left_out:
            lines.append(
                f"--quick: {self.left_out} were left out, the 5 minutes are over; run the same command to resume"
            )
        lines += [f"failed: {failure}" for failure in self.failures]
        return "\n".join(lines)

    def to_json(self) -> JsonObject:
        """The summary as JSON."""
        return {
            "run": str(self.recorder.folder),
            "measurements": len(self.recorder.records),
            "left_out": self.left_out,
            "failed": list(self.failures),
        }

    def _measure(self, cell: Cell, variant: PreparedVariant) -> Record:
        if cell.mode == ENGINE:
            return self._measure_engine(cell, variant)
        if cell.mode == RATE and (smaller := self._unsustained_rate(cell)) is not None:
            return SkippedRecord(cell=cell, reason=f"{smaller:g} requests/s are not sustained")
        return self._measure_served(cell, variant)

    def _unsustained_rate(self, cell: Cell) -> float | None:
        """A smaller rate that is not sustained, or one up to this that failed: this one would only fill the queue."""
        for other, record in self.recorder.records.items():
            same = (other.task, other.variant, other.mode) == (cell.task, cell.variant, cell.mode)
            if not same or other == cell or not isinstance(record, ServedRecord):
                continue
            if record.error and other.value <= cell.value:
                return other.value
            if not record.error and not is_sustained(record) and other.value < cell.value:
                return other.value
        return None

    def _measure_engine(self, cell: Cell, variant: PreparedVariant) -> EngineRecord:
        texts = variant.task.texts
        count = min(self.settings.engine_texts, len(texts.items))
        windows = [window for window in texts.windows if window.owner < count]
        speed = measure_engine(variant.pipeline, windows, texts=count, batch=int(cell.value), order=cell.order)
        return EngineRecord(
            cell=cell,
            engine=variant.engine,
            throughput=round(speed.throughput, 2),
            padding=PaddingTokens(real_tokens=speed.real_tokens, padding_tokens=speed.padding_tokens),
        )

    def _measure_served(self, cell: Cell, variant: PreparedVariant) -> ServedRecord:
        assert self.target is not None and variant.served is not None
        target, models = self.target, variant.served.step_models
        counters_before, padding_before = target.counters(models), target.padding(models)
        usage_before = processes.usage_by_role(target.pid) if target.pid else {}
        figures, error = self._ask(cell, variant, variant.served)
        if error:
            target.wait_until_idle(models)
        stages = stages_between(counters_before, target.counters(models))
        usage = processes.used_between(usage_before, processes.usage_by_role(target.pid)) if target.pid else None
        padding_after = target.padding(models) if padding_before is not None else None
        return ServedRecord(
            cell=cell,
            engine=variant.engine,
            figures=figures,
            error=error,
            stages=stages,
            processes=usage,
            padding=padding_after.since(padding_before) if padding_after and padding_before else None,
        )

    def _ask(self, cell: Cell, variant: PreparedVariant, served: Served) -> tuple[LoadFigures | None, str]:
        """What perf_analyzer measured, and why it does not count (empty where it does)."""
        assert self.analyzer is not None and self.target is not None
        checker = AnswerChecker(served.expected, self.settings.request_texts)
        # Of several texts per request perf_analyzer would compare all outputs with what is expected of the first.
        validated = cell.mode == CONCURRENCY and checker.texts == 1
        try:
            figures = self.analyzer.measure(
                address=self.target.grpc,
                model=variant.model,
                load=Load(cell.mode, cell.value),
                seconds=self.settings.seconds,
                data=served.checked_data if validated else served.plain_data,
                checker=checker,
                raw=self.recorder.raw_path(cell),
            )
        except (TargetError, AnswerError) as error:
            return None, str(error)
        if served.expected.too_many_wrong(figures.wrong, figures.checked):
            example = json.dumps(figures.wrong_example, ensure_ascii=False)[:300]
            return figures, f"{figures.wrong} of {figures.checked} answers are wrong, the first: {example}"
        return figures, ""


def _cell(variant: PreparedVariant, mode: str, value: float, number: int, order: str = "") -> Cell:
    return Cell(
        task=variant.task.name, variant=variant.variant, mode=mode, value=float(value), round=number, order=order
    )


def progress_line(record: Record) -> str:
    """A record in one line, for a person who waits."""
    cell = record.cell
    where = f"{variant_ensemble(cell.task, cell.variant)}, round {cell.round}"
    if isinstance(record, EngineRecord):
        return f"{where}: engine, batch {cell.value:g}, by {cell.order}: {record.throughput:.0f} texts/s"
    load = Load(cell.mode, cell.value)
    if isinstance(record, SkippedRecord):
        return f"{where}: {load}: skipped, {record.reason}"
    if record.error or record.figures is None:
        return f"{where}: {load}: FAILED: {record.error}"
    figures = record.figures
    return f"{where}: {load}: {figures.throughput:.0f} texts/s, p50 {figures.p50_ms:.1f}, p99 {figures.p99_ms:.1f} ms"
