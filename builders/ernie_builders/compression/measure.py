"""Measure variants side by side: the same texts, one process per variant, in alternating rounds."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.manifest import Variant
from ernie_runtime.text.windows import Window

from ..console import bar
from ..errors import BuildError
from ..processes import child_environment
from .other_load import OtherLoad

BATCHES = (1, 4, 8, 16, 32)  # texts per batch
ROUNDS = 5
TEXTS = 256  # per round and batch size; a quarter of them at batch size 1
WINDOWS = 512  # for long texts: fewer texts, with about this many windows, but at least MIN_TEXTS texts
MIN_TEXTS = 48


@dataclass(frozen=True, kw_only=True)
class Built:
    """A variant's files, ready to run."""

    engine: str
    file: Path
    settings: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class BatchFigures:
    """Speed at one batch size: medians over the rounds, percentiles over all batches of all rounds."""

    texts_per_second: float
    p50_ms: float  # of a batch
    p99_ms: float
    ratio: float  # texts per second against the first variant's in the same round, each at its own size; the median
    ratio_low: float  # of the rounds
    ratio_high: float


@dataclass(frozen=True, kw_only=True)
class VariantFigures:
    """Speed and memory of a variant."""

    memory: int  # bytes of the process, at most
    model_memory: int  # bytes of those that came with loading and running the model
    single_memory: int  # the same after batches of one text only
    best_batch: int  # batch size with the most texts per second
    batch_1: BatchFigures
    best: BatchFigures


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """The variants' figures, and how busy the machine was with other programs meanwhile."""

    variants: Mapping[str, VariantFigures]
    other_load: float | None  # share of the processors, 0 to 1; None where the system does not say


@dataclass(kw_only=True)
class _Samples:
    """What was measured of a variant so far, by batch size."""

    rates: dict[int, list[float]] = field(default_factory=dict)  # texts per second of each round
    seconds: dict[int, list[float]] = field(default_factory=dict)  # of each batch
    memory: int = 0
    model_memory: int = 0
    single_memory: int = 0

    def add(self, batch: int, texts: int, measured: Json) -> None:
        """A round at one batch size, as bench_worker.py answers."""
        self.rates.setdefault(batch, []).append(texts / max(sum(measured["seconds"]), 1e-9))
        self.seconds.setdefault(batch, []).extend(measured["seconds"])
        self.memory = max(self.memory, measured["memory"])
        self.model_memory = max(self.model_memory, measured["model_memory"])
        self.single_memory = self.single_memory or measured["model_memory"]  # batch size 1 comes first

    @property
    def best_batch(self) -> int:
        """The batch size with the most texts per second."""
        return max(BATCHES, key=lambda batch: statistics.median(self.rates[batch]))

    def figures(self, baseline: _Samples) -> VariantFigures:
        """Medians, percentiles, and ratios to the baseline."""
        return VariantFigures(
            memory=self.memory,
            model_memory=self.model_memory,
            single_memory=self.single_memory,
            best_batch=self.best_batch,
            batch_1=self._at(1, baseline.rates[1]),
            best=self._at(self.best_batch, baseline.rates[baseline.best_batch]),
        )

    def _at(self, batch: int, baseline_rates: Sequence[float]) -> BatchFigures:
        milliseconds = np.array(self.seconds[batch]) * 1000
        ratios = [rate / baseline for rate, baseline in zip(self.rates[batch], baseline_rates, strict=True)]
        return BatchFigures(
            texts_per_second=round(statistics.median(self.rates[batch]), 1),
            p50_ms=round(float(np.percentile(milliseconds, 50)), 3),
            p99_ms=round(float(np.percentile(milliseconds, 99)), 3),
            ratio=round(statistics.median(ratios), 3),
            ratio_low=round(min(ratios), 3),
            ratio_high=round(max(ratios), 3),
        )


def measure(
    variants: Mapping[str, Built], windows: Sequence[Window], folder: Path, rounds: int = ROUNDS, threads: int = 0
) -> SideBySide:
    """Speed and memory of each variant; the first one is the baseline of the ratios.

    windows: of real texts, in their order. folder: for the windows as a file. threads: 0 for all cores of this process.
    A round runs every variant at every batch size before the next round begins, so that other load on the machine
    affects all variants alike.
    """
    packed = folder / "windows.npz"
    pack(windows, packed)
    threads = threads or len(os.sched_getaffinity(0))
    count = texts_measured(windows)
    workers = {name: _Worker(name, built, threads, packed) for name, built in variants.items()}
    samples = {name: _Samples() for name in variants}
    load = OtherLoad([worker.process for worker in workers.values()])
    try:
        with bar(rounds * len(BATCHES) * len(workers), "measure", "round") as shown:
            for _ in range(rounds):
                for batch in BATCHES:
                    texts = count if batch > 1 else max(1, count // 4)
                    for name, worker in workers.items():
                        samples[name].add(batch, texts, worker.ask(batch, texts))
                        shown.update(1)
        other_load = load.share()
    finally:
        for worker in workers.values():
            worker.close()
    baseline = samples[next(iter(variants))]
    figures = {name: of_variant.figures(baseline) for name, of_variant in samples.items()}
    return SideBySide(variants=figures, other_load=other_load)


def texts_measured(windows: Sequence[Window]) -> int:
    """Number of texts that a round measures."""
    ends = np.cumsum(np.unique([window.owner for window in windows], return_counts=True)[1])
    return min(len(ends), TEXTS, max(MIN_TEXTS, int(np.searchsorted(ends, WINDOWS, side="right"))))


def machine() -> JsonObject:
    """The processor, its wide instructions and the number of threads."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    instructions = [
        flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8") if flag in flags
    ]
    return {"cpu": model or platform.processor(), "instructions": instructions, "threads": len(os.sched_getaffinity(0))}


def pack(windows: Sequence[Window], target: Path) -> None:
    """Write windows as flat arrays, int64: all ids and types, the length of each window, the windows of each text."""
    owners = [window.owner for window in windows]
    np.savez(
        target,
        input_ids=np.concatenate([window.input_ids for window in windows]),
        token_type_ids=np.concatenate([window.token_type_ids for window in windows]),
        lengths=np.array([len(window.input_ids) for window in windows]),
        texts=np.unique(owners, return_counts=True)[1],
    )


class _Worker:
    """A process that runs one variant."""

    def __init__(self, name: str, built: Built, threads: int, windows: Path) -> None:
        self.name = name
        command = [sys.executable, "-m", "ernie_builders.compression.bench_worker", built.engine, str(built.file)]
        self._process = subprocess.Popen(
            [*command, json.dumps(dict(built.settings)), str(threads), str(windows)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=child_environment(OMP_NUM_THREADS=str(threads)),
        )
        self._read()

    @property
    def process(self) -> int:
        """Its id."""
        return self._process.pid

    def ask(self, batch: int, texts: int) -> JsonObject:
        """Measure a round: the seconds of each batch, and memory in bytes."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{batch} {texts}\n")
        self._process.stdin.flush()
        answer: JsonObject = json.loads(self._read())
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BuildError(f"variant {self.name}: its encoder cannot be measured (exit {self._process.wait()})")
        return line


def may_be_chosen(variant: Variant) -> bool:
    """Whether `fastest` and `smallest` may choose it: it passed the gate on labelled text, or is fp32, the baseline.

    One that lost more than is allowed, on so few rows that it may be chance, is published but not chosen.
    """
    gate = variant.gate
    return bool(gate.get("passed", True) and gate.get("rows", 1)) and not lost_by_chance(variant)


def lost_by_chance(variant: Variant) -> bool:
    """Whether it passed the gate with a larger loss than is allowed, because that may be chance."""
    gate = variant.gate
    return bool(gate.get("passed", False) and gate.get("drop", 0.0) > gate.get("max_drop", math.inf))


def rank(variants: Mapping[str, Variant], pick: str) -> str:
    """The name of the variant that `pick` chooses: `fastest` (at its best batch size), `smallest`, or a name."""
    if pick == "smallest":
        return min(variants, key=lambda name: variants[name].bytes)
    if pick == "fastest":
        measured = {name: v.speed["best"]["texts_per_second"] for name, v in variants.items() if v.speed}
        return max(measured, key=measured.__getitem__) if measured else next(iter(variants))
    return pick
