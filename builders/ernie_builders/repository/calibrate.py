"""A short calibration of an encoder's engine: cost of a call and of a token, token budget, threads, concurrent calls.

It changes speed only: how rows are cut into micro-batches, never a text's windows. If the measurements scatter, or
other work runs beside them, the defaults stay.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ernie_runtime.engines import ENGINES, Engine, load_engine
from ernie_runtime.json_types import JsonObject
from ernie_runtime.manifest import Variant
from ernie_runtime.names import INPUT_IDS, TOKEN_TYPE_IDS
from ernie_runtime.steps.batching import ON_CPU, Batching

from ..config.serving import ServingConfig
from .buckets import median
from .model_config import THREADS

SECONDS = 0.8  # for each of the four measurements
MIN_ROUNDS, MAX_ROUNDS = 3, 7
MAX_NOISE = 1.5  # median / fastest call of one shape; above it nothing is decided
MAX_OTHER_WORK = 0.1  # share of the cores' time that other processes may take during the calibration
MIN_GAIN = 0.05  # share of the time: a budget must save it in every round, concurrent calls in the median
CONCURRENT_ROWS = 4  # rows in each of several concurrent calls
TYPICAL_LENGTH = 32  # tokens, if the data's lengths are unknown
BUDGETS = (1024, ON_CPU.token_budget)  # padded tokens in a micro-batch
MAX_CALL_TOKENS = 256
Clock = Callable[[], float]
"""Seconds."""
Shape = tuple[int, int]
"""Rows, tokens in a row."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The measured costs and what follows from them; a cost is 0 if it was not measured or the times scattered."""

    call_ms: float = 0.0  # of a call besides its tokens
    token_us: float = 0.0  # of a token
    batching: Batching = ON_CPU
    threads: int = 0  # of the engine; 0: all cores
    texts_per_second: float = 0.0  # at the data's median length, computed from the two costs

    def to_manifest(self) -> dict[str, float | int]:
        """As stored in a variant's `batching`."""
        costs = {"call_ms": self.call_ms, "token_us": self.token_us, "texts_per_second": self.texts_per_second}
        measured = {name: round(value, 3) for name, value in costs.items() if value}
        return {**asdict(self.batching), THREADS: self.threads, **measured}


def batching_of(variant: Variant, folder: Path, lengths: Mapping[str, int], serving: ServingConfig) -> JsonObject:
    """A variant's `batching`: how the stand-ins run it, calibrated unless the tasks file sets it.

    folder: holds the variant's file. lengths: see `buckets.histogram`.
    """

    def load(threads: int) -> Engine:
        return load_engine(variant.engine, folder / variant.file, variant.settings, threads)

    cores = len(os.sched_getaffinity(0))
    calibration, busy = Calibration(), OtherWork()
    if serving.calibrate:
        parallel = cores if ENGINES[variant.engine].concurrent else 1
        calibration = calibrate(load, lengths, cores, parallel)
        if busy.share() > MAX_OTHER_WORK:
            calibration = Calibration()
    batching = calibration.to_manifest()
    if serving.token_budget:
        batching["token_budget"] = serving.token_budget
    if serving.call_tokens >= 0:
        batching["call_tokens"] = serving.call_tokens
    if serving.threads or serving.instances > 1:
        batching[THREADS] = serving.threads or max(1, cores // serving.instances)
        batching["calls"] = 1  # the cores are divided already
    if serving.calls and ENGINES[variant.engine].concurrent:
        batching["calls"] = serving.calls
    return batching


def calibrate(
    load: Callable[[int], Engine],
    lengths: Mapping[str, int],
    cores: int,
    parallel: int = 1,
    clock: Clock = time.perf_counter,
) -> Calibration:
    """Measure an engine.

    load: makes the engine with a number of threads, 0 for all cores. lengths: see `buckets.histogram`. parallel: how
    many concurrent calls, each on one thread, to try.
    """
    typical = median(lengths) if lengths else TYPICAL_LENGTH
    engine = load(0)
    call, token = costs(engine, typical, clock)
    single = load(1) if cores > 1 else engine
    single_is_faster = cores > 1 and faster_in_every_round(single, engine, (4, typical), clock)
    if not token:
        return Calibration(threads=int(single_is_faster))
    small = max(1, BUDGETS[0] // typical), max(1, BUDGETS[1] // typical)
    budget = BUDGETS[0] if token_gain(engine, small, typical, clock) else ON_CPU.token_budget
    batching = Batching(
        token_budget=budget, call_tokens=min(MAX_CALL_TOKENS, round(call / token)), max_rows=ON_CPU.max_rows
    )
    if parallel > 1 and concurrent_is_faster(single, single if single_is_faster else engine, parallel, typical, clock):
        batching = replace(batching, calls=parallel)
    return Calibration(
        call_ms=1e3 * call,
        token_us=1e6 * token,
        batching=batching,
        threads=int(single_is_faster),
        texts_per_second=1 / (token * typical + call / 8),  # eight texts a call
    )


class OtherWork:
    """The load that other processes put on this process's cores, from construction on."""

    def __init__(self) -> None:
        self.start = self._now()

    def share(self) -> float:
        """Their share of the cores' time, from 0 to 1; 0 if the system has no /proc/stat."""
        busy, total, ours = (now - then for now, then in zip(self._now(), self.start, strict=True))
        return max(0.0, busy - ours) / total if total > 0 else 0.0

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Seconds: the cores busy, the cores in all, and the CPU time of this process."""
        cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        stat = Path("/proc/stat")
        lines = stat.read_text(encoding="ascii").splitlines() if stat.is_file() else []
        rows = [[int(n) for n in line.split()[1:9]] for line in lines if line.split(" ")[0] in cores]
        ticks, idle = sum(map(sum, rows)), sum(row[3] + row[4] for row in rows)  # idle, and waiting for a disk
        second = os.sysconf("SC_CLK_TCK")
        return (ticks - idle) / second, ticks / second, time.process_time()


def costs(engine: Engine, typical: int, clock: Clock = time.perf_counter) -> tuple[float, float]:
    """Seconds of a call, and of each token in it; zeros if the measurements are noisy.

    A least-squares line through the fastest calls of four shapes.
    """
    shapes = [(1, max(4, typical // 4)), (1, typical), (4, typical), (8, typical)]
    rounds = measure(engine, shapes, clock)
    fastest = rounds.min(axis=0)
    if len(rounds) < MIN_ROUNDS or (np.median(rounds, axis=0) > MAX_NOISE * fastest).any():
        return 0.0, 0.0
    tokens = np.array([rows * length for rows, length in shapes], float)
    weights = 1 / fastest  # minimizes relative errors: a long call's noise is larger
    line = np.linalg.lstsq(np.stack([weights, tokens * weights], 1), fastest * weights, rcond=None)[0]
    call, token = float(line[0]), float(line[1])
    return (max(call, 0.0), token) if token > 0 else (0.0, 0.0)


def faster_in_every_round(engine: Engine, other: Engine, shape: Shape, clock: Clock) -> bool:
    """Whether `engine` is faster than `other` in every round; the two are measured in turn."""
    times: list[float] = []
    other_times: list[float] = []
    stop = clock() + SECONDS
    warm_up(engine, shape)
    warm_up(other, shape)
    while len(times) < MAX_ROUNDS and (clock() < stop or len(times) < MIN_ROUNDS):
        times.append(call_seconds(engine, shape, clock))
        other_times.append(call_seconds(other, shape, clock))
    return all(time < other_time for time, other_time in zip(times, other_times, strict=True))


def concurrent_is_faster(single: Engine, engine: Engine, calls: int, length: int, clock: Clock) -> bool:
    """Whether concurrent calls of `single` are faster by MIN_GAIN than one call of `engine` with all their rows.

    Compares the medians of rounds that are measured in turn. calls: how many are concurrent.
    """
    part, whole = (CONCURRENT_ROWS, length), (CONCURRENT_ROWS * calls, length)
    concurrent: list[float] = []
    together: list[float] = []
    with ThreadPoolExecutor(calls) as pool:

        def concurrent_seconds() -> float:
            start = clock()
            list(pool.map(lambda _: single(inputs_of(part)), range(calls)))
            return clock() - start

        concurrent_seconds()
        stop = clock() + SECONDS
        while len(concurrent) < MAX_ROUNDS and (clock() < stop or len(concurrent) < MIN_ROUNDS):
            concurrent.append(concurrent_seconds())
            together.append(call_seconds(engine, whole, clock))
    return bool(np.median(concurrent) < (1 - MIN_GAIN) * np.median(together))


def token_gain(engine: Engine, rows: tuple[int, int], length: int, clock: Clock) -> bool:
    """Whether a token is cheaper by MIN_GAIN in calls of rows[0] rows than of rows[1] rows, in every round."""
    few, many = rows[0], min(rows[1], ON_CPU.max_rows)
    if few >= many:
        return False  # max_rows cuts both alike
    rounds = measure(engine, [(few, length), (many, length)], clock)
    if len(rounds) < MIN_ROUNDS:
        return False
    return bool((rounds[:, 0] / few < (1 - MIN_GAIN) * rounds[:, 1] / many).all())


def measure(engine: Engine, shapes: Sequence[Shape], clock: Clock) -> np.ndarray:
    """Seconds of calls, float [rounds, shapes], the shapes in turn; at least one round, for about SECONDS."""
    warm_up(engine, shapes[0])
    start = clock()
    rounds: list[list[float]] = []
    while len(rounds) < MAX_ROUNDS:
        if (clock() - start) * (len(rounds) + 1) / max(len(rounds), 1) > SECONDS and rounds:
            break
        rounds.append([call_seconds(engine, shape, clock) for shape in shapes])
    return np.array(rounds)


def warm_up(engine: Engine, shape: Shape) -> None:
    """Make one call that is not measured."""
    engine(inputs_of(shape))


def call_seconds(engine: Engine, shape: Shape, clock: Clock) -> float:
    """Seconds of one call."""
    tensors = inputs_of(shape)
    start = clock()
    engine(tensors)
    return max(clock() - start, 1e-9)


def inputs_of(shape: Shape) -> dict[str, np.ndarray]:
    """The encoder's inputs, int64 of that shape: a token that every vocabulary has and that is not padding (0)."""
    return {INPUT_IDS: np.ones(shape, np.int64), TOKEN_TYPE_IDS: np.zeros(shape, np.int64)}
