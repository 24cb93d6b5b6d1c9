"""Measure variants side by side: the same texts, one process each, rounds in turn; medians, ratios to fp32."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ernie_runtime.manifest import Variant
from ernie_runtime.text.windows import Window

from ..console import bar
from ..errors import BuildError
from ..processes import child_environment

BATCHES = (1, 4, 8, 16, 32)
ROUNDS = 5
TEXTS = 256  # of each round and batch size; a quarter of them at batch 1
WINDOWS = 512  # fewer texts where they are long: so many windows of at least LEAST texts
LEAST = 48


@dataclass(frozen=True)
class Built:
    """A variant's files, ready to be run."""

    engine: str
    file: Path
    settings: Mapping[str, str]


def measure(
    variants: Mapping[str, Built], windows: Sequence[Window], folder: Path, rounds: int = ROUNDS, threads: int = 0
) -> dict[str, dict[str, Any]]:
    """Variant -> texts/s and p50/p99 ms at batch 1 and at its best batch size, memory in bytes, ratios to the first.

    memory: of the process; model_memory: what of it came with loading and running the model; single_memory: the same
    before it ran anything but single texts.

    windows: of real texts, in their order. threads: 0 for all cores of this process. A round runs every variant at
    every batch size before the next round begins, so that what else the machine does falls on all alike; p50 and p99
    are of single batches over all rounds.
    """
    packed = folder / "windows.npz"
    pack(windows, packed)
    threads = threads or len(os.sched_getaffinity(0))
    count = texts_measured(windows)
    workers = {name: _Worker(name, built, threads, packed) for name, built in variants.items()}
    try:
        rates: dict[tuple[str, int], list[float]] = {}
        times: dict[tuple[str, int], list[float]] = {}
        memory: dict[str, dict[str, int]] = {name: {} for name in workers}
        with bar(rounds * len(BATCHES) * len(workers), "measure", "round") as shown:
            for _ in range(rounds):
                for batch in BATCHES:
                    for name, worker in workers.items():
                        texts = count if batch > 1 else max(1, count // 4)
                        took = worker.ask(batch, texts)
                        for kind in ("memory", "model_memory"):
                            memory[name][kind] = max(memory[name].get(kind, 0), took[kind])
                        memory[name].setdefault("single_memory", took["model_memory"])  # batch 1 is the first
                        rates.setdefault((name, batch), []).append(texts / max(sum(took["seconds"]), 1e-9))
                        times.setdefault((name, batch), []).extend(took["seconds"])
                        shown.update(1)
    finally:
        for worker in workers.values():
            worker.close()
    return {name: _figures(name, next(iter(variants)), rates, times, memory) for name in variants}


def texts_measured(windows: Sequence[Window]) -> int:
    """How many of the texts a round takes."""
    ends = np.cumsum(np.unique([window.owner for window in windows], return_counts=True)[1])
    return min(len(ends), TEXTS, max(LEAST, int(np.searchsorted(ends, WINDOWS, side="right"))))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    wide = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8") if flag in flags]
    return {"cpu": model or platform.processor(), "instructions": wide, "threads": len(os.sched_getaffinity(0))}


def pack(windows: Sequence[Window], target: Path) -> None:
    """Windows as flat arrays: int64 ids and types of all, the length of each, and how many each text has."""
    owners = [window.owner for window in windows]
    np.savez(
        target,
        input_ids=np.concatenate([window.input_ids for window in windows]),
        token_type_ids=np.concatenate([window.token_type_ids for window in windows]),
        lengths=np.array([len(window.input_ids) for window in windows]),
        texts=np.unique(owners, return_counts=True)[1],
    )


class _Worker:
    """A process with one variant."""

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

    def ask(self, batch: int, texts: int) -> dict[str, Any]:
        """Seconds of each batch, and memory."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{batch} {texts}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._read())
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


def _figures(name: str, first: str, rates: Any, times: Any, memory: Mapping[str, dict[str, int]]) -> dict[str, Any]:
    best, base = (max(BATCHES, key=lambda batch: statistics.median(rates[who, batch])) for who in (name, first))
    figures: dict[str, Any] = {**memory[name], "best_batch": best}
    for label, batch, other in (("batch_1", 1, 1), ("best", best, base)):
        milliseconds = np.array(times[name, batch]) * 1000
        ratios = [ours / theirs for ours, theirs in zip(rates[name, batch], rates[first, other], strict=True)]
        figures[label] = {
            "texts_per_second": round(statistics.median(rates[name, batch]), 1),
            "p50_ms": round(float(np.percentile(milliseconds, 50)), 3),
            "p99_ms": round(float(np.percentile(milliseconds, 99)), 3),
            "ratio": round(statistics.median(ratios), 3),
        }
    return figures


def may_be_chosen(variant: Variant) -> bool:
    """Whether `fastest` and `smallest` may mean it: it passed the gate, on labelled text (fp32 is the measure)."""
    return bool(variant.gate.get("passed", True) and variant.gate.get("rows", 1))


def rank(variants: Mapping[str, Variant], pick: str) -> str:
    """The variant that `pick` means: `fastest` (at its best batch), `smallest`, or a name."""
    if pick == "smallest":
        return min(variants, key=lambda name: variants[name].bytes)
    if pick == "fastest":
        measured = {name: v.speed["best"]["texts_per_second"] for name, v in variants.items() if v.speed}
        return max(measured, key=measured.__getitem__) if measured else next(iter(variants))
    return pick
