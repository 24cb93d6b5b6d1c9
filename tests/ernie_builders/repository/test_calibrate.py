"""Calibration measures an engine's costs, here by a clock that the engine moves; noise leaves the defaults."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders.config.serving import ServingConfig
from ernie_builders.repository import calibrate
from ernie_builders.repository.calibrate import Calibration, batching_of
from ernie_runtime.engines import Engine, load_single
from ernie_runtime.errors import EngineError
from ernie_runtime.manifest import Variant
from ernie_runtime.steps.batching import ON_CPU, Batching, run_rows

LENGTHS = {"32": 100}
FP32 = Variant(name="fp32", engine="onnxruntime", file="m", bytes=0, sha256="", max_abs_error=0.0)


class Machine:
    """A clock, and engines whose calls take `call + token * tokens` seconds of it, times the noise."""

    def __init__(self, noise: Callable[[], float] = lambda: 1.0) -> None:
        self.now, self.noise, self.calls = 0.0, noise, 0

    def engine(self, call: float, token: float, large: float = 1.0) -> Engine:
        """large: the factor on a token's cost in calls of more than 1,024 tokens."""

        def run(tensors: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
            tokens = tensors["input_ids"].size
            self.calls += 1
            self.now += (call + token * tokens * (large if tokens > 1024 else 1)) * self.noise()
            return {"sums": tensors["input_ids"].sum(1)}

        return run

    def calibrate(self, *costs: float, single: tuple[float, ...] = (1.0, 1.0), cores: int = 2) -> Calibration:
        engines = {0: self.engine(*costs), 1: self.engine(*single)}
        return calibrate.calibrate(engines.__getitem__, LENGTHS, cores, clock=lambda: self.now)


def test_costs_are_measured() -> None:
    calibration = Machine().calibrate(1e-3, 5e-5)
    assert calibration.call_ms == pytest.approx(1.0) and calibration.token_us == pytest.approx(50)
    assert calibration.batching == Batching(call_tokens=20) and calibration.threads == 0
    assert calibration.texts_per_second == pytest.approx(8 / (1e-3 + 8 * 32 * 5e-5))
    assert calibration.to_manifest()["call_tokens"] == 20


def test_a_smaller_budget_where_large_calls_are_dearer() -> None:
    assert Machine().calibrate(1e-3, 5e-5, 1.2).batching.token_budget == 1024
    assert Machine().calibrate(1e-3, 5e-5, 1.02).batching.token_budget == ON_CPU.token_budget


@pytest.mark.parametrize(("single", "cores", "threads"), [(0.9, 2, 1), (1.1, 2, 0), (0.9, 1, 0)])
def test_one_thread_where_it_is_faster(single: float, cores: int, threads: int) -> None:
    assert Machine().calibrate(1e-3, 5e-5, single=(1e-3 * single, 5e-5 * single), cores=cores).threads == threads


@pytest.mark.timing
@pytest.mark.parametrize(("together", "faster"), [(0.02, True), (0.008, False)])
def test_several_calls_at_once_where_they_are_faster(together: float, faster: bool) -> None:
    def sleeper(seconds: float) -> Engine:
        def run(tensors: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
            time.sleep(seconds)
            return {}

        return run

    assert calibrate.concurrent_is_faster(sleeper(0.01), sleeper(together), 2, 32, time.perf_counter) is faster


@pytest.mark.parametrize(
    ("serving", "calls"),
    [(ServingConfig(), 2), (ServingConfig(calls=3), 3), (ServingConfig(instances=2), 1), (ServingConfig(threads=1), 1)],
)
def test_one_call_at_a_time_where_the_cores_are_shared_out(
    monkeypatch: pytest.MonkeyPatch, serving: ServingConfig, calls: int
) -> None:
    monkeypatch.setattr(
        calibrate, "calibrate", lambda *_: Calibration(call_ms=1.0, token_us=50.0, batching=Batching(calls=2))
    )
    monkeypatch.setattr(calibrate.OtherWork, "share", lambda _: 0.0)
    batching = batching_of(FP32, Path(), {}, serving)
    assert batching["calls"] == calls


def test_an_engine_without_concurrent_calls_gets_one_at_a_time() -> None:
    """A tasks file sets `calls` for all variants of a task, but OpenVINO's stand-in runs one call at a time."""
    serving = ServingConfig(calibrate=False, calls=2)
    openvino = replace(FP32, name="fp32-ov", engine="openvino")
    assert batching_of(openvino, Path(), {}, serving)["calls"] == 1
    with pytest.raises(EngineError, match="calls is above 1, but openvino runs one call at a time"):
        load_single("openvino", "model.xml")


def test_noise_leaves_the_defaults() -> None:
    generator = np.random.default_rng(0)
    machine = Machine(lambda: float(generator.choice([1.0, 3.0])))
    calibration = machine.calibrate(1e-3, 5e-5, 1.2, single=(1e-3, 5e-5))
    assert calibration == Calibration()


def test_a_slow_engine_is_not_measured_for_long() -> None:
    machine = Machine()
    calibration = machine.calibrate(0.0, 1e-2, single=(0.0, 1e-2))
    assert calibration.batching == ON_CPU and calibration.call_ms == 0
    assert machine.calls < 20


def test_call_tokens_are_bounded() -> None:
    assert Machine().calibrate(1e-2, 1e-6).batching.call_tokens == calibrate.MAX_CALL_TOKENS
    assert Machine().calibrate(0.0, 1e-5).batching.call_tokens == 0


def test_the_tasks_file_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any) -> Engine:
        raise AssertionError("nothing is to be measured")

    monkeypatch.setattr(calibrate, "load_engine", load)
    serving = ServingConfig(calibrate=False, token_budget=512, call_tokens=0, threads=3)
    batching = batching_of(FP32, Path(), {}, serving)
    assert batching == {
        "token_budget": 512,
        "max_rows": ON_CPU.max_rows,
        "call_tokens": 0,
        "max_padding": ON_CPU.max_padding,
        "calls": 1,
        "intra_op_thread_count": 3,
    }


@pytest.mark.parametrize(("share", "used"), [(0.5, False), (0.05, True)])
def test_measurements_on_a_busy_machine_are_not_used(monkeypatch: pytest.MonkeyPatch, share: float, used: bool) -> None:
    monkeypatch.setattr(calibrate, "load_engine", lambda *_: Machine().engine(0, 0))
    monkeypatch.setattr(
        calibrate, "calibrate", lambda *_: Calibration(call_ms=1.0, token_us=50.0, batching=Batching(call_tokens=99))
    )
    monkeypatch.setattr(calibrate.OtherWork, "share", lambda _: share)
    batching = batching_of(FP32, Path(), {}, ServingConfig())
    assert (batching["call_tokens"] == 99) is used


@pytest.mark.timing
def test_other_work_is_measured() -> None:
    """A busy loop on the only core that this process may use takes more than half of it."""
    core = min(os.sched_getaffinity(0))
    affinity = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:  # it inherits the core
            work = calibrate.OtherWork()
            time.sleep(0.5)
            share = work.share()
            busy.kill()
    finally:
        os.sched_setaffinity(0, affinity)
    assert share > 0.5


def test_answers_do_not_depend_on_the_calibration() -> None:
    rng = np.random.default_rng(1)
    ids = [rng.integers(1, 50, n) for n in rng.integers(1, 90, 40)]
    engine = Machine().engine(0, 0)
    answers = [
        [int(row["sums"]) for row in run_rows(engine, ids, ids, replace(ON_CPU, call_tokens=c, token_budget=b))]
        for c, b in ((0, 2048), (256, 1024), (20, 512))
    ]
    assert answers[0] == answers[1] == answers[2] == [int(row.sum()) for row in ids]
