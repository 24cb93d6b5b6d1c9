"""A short calibration of an encoder's engine: what a call costs besides its tokens, the token budget, the threads, and
whether several calls of one thread each are faster than one call of all.

It decides speed only: micro-batches are cut in another way, each text's windows are the same. Where the measurements
scatter, or other work runs beside them, nothing is decided and the defaults stay.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ernie_runtime.engines import ENGINES, Engine, load_engine
from ernie_runtime.manifest import Variant
from ernie_runtime.steps.batching import ON_CPU, Batching

from ..config.serving import ServingConfig
from .buckets import median
from .model_config import THREADS

SECONDS = 0.8  # for each of the four measurements
FEWEST_ROUNDS, MOST_ROUNDS = 3, 7
NOISE = 1.5  # median / fastest call of one shape, above which nothing is decided
QUIET = 0.1  # of the cores' time that other processes may take meanwhile
GAIN = 0.05  # a budget must be so much faster than the default in every round, several calls at once in most
ROWS_A_CALL = 4  # of the calls that are made at once
TYPICAL = 32  # tokens, where nothing is known of the data
BUDGETS = (1024, ON_CPU.token_budget)
MOST_CALL_TOKENS = 256
Clock = Callable[[], float]
Shape = tuple[int, int]


@dataclass(frozen=True)
class Calibration:
    """What was found; 0 where it was not measured or could not be told."""

    call_ms: float = 0.0
    token_us: float = 0.0
    batching: Batching = ON_CPU
    threads: int = 0  # of the engine; 0: all cores
    texts_per_second: float = 0.0  # of the data's median length, by the two costs

    def to_manifest(self) -> dict[str, float | int]:
        """As a variant's `batching` keeps it."""
        costs = {"call_ms": self.call_ms, "token_us": self.token_us, "texts_per_second": self.texts_per_second}
        known = {name: round(value, 3) for name, value in costs.items() if value}
        return {**asdict(self.batching), THREADS: self.threads, **known}


def batching_of(variant: Variant, folder: Path, lengths: Mapping[str, int], serving: ServingConfig) -> dict[str, Any]:
    """How the stand-ins shall run a variant: calibrated, but for what the tasks file says."""

    def load(threads: int) -> Engine:
        return load_engine(variant.engine, folder / variant.file, variant.settings, threads)

    cores = len(os.sched_getaffinity(0))
    calibration, busy = Calibration(), OtherWork()
    if serving.calibrate:
        parallel = cores if ENGINES[variant.engine].concurrent else 1
        calibration = calibrate(load, lengths, cores, parallel)
        if busy.share() > QUIET:  # what was measured is what the others left
            calibration = Calibration()
    found = calibration.to_manifest()
    if serving.token_budget:
        found["token_budget"] = serving.token_budget
    if serving.call_tokens >= 0:
        found["call_tokens"] = serving.call_tokens
    if serving.threads or serving.instances > 1:
        found[THREADS] = serving.threads or max(1, cores // serving.instances)
        found["calls"] = 1  # the cores are shared out already
    if serving.calls and ENGINES[variant.engine].concurrent:
        found["calls"] = serving.calls
    return found


def calibrate(
    load: Callable[[int], Engine],
    lengths: Mapping[str, int],
    cores: int,
    parallel: int = 1,
    clock: Clock = time.perf_counter,
) -> Calibration:
    """Measure an engine.

    load: the engine with so many threads, 0 for all cores. lengths: see `buckets.histogram`. parallel: how many calls
    of an engine of one thread may be made at once.
    """
    typical = median(lengths) if lengths else TYPICAL
    engine = load(0)
    call, token = costs(engine, typical, clock)
    one = load(1) if cores > 1 else engine
    single = cores > 1 and all_faster(one, engine, (4, typical), clock, 0.0)
    if not token:
        return Calibration(threads=int(single))
    small = max(1, BUDGETS[0] // typical), max(1, BUDGETS[1] // typical)
    budget = BUDGETS[0] if token_gain(engine, small, typical, clock) else ON_CPU.token_budget
    batching = Batching(
        token_budget=budget, call_tokens=min(MOST_CALL_TOKENS, round(call / token)), max_rows=ON_CPU.max_rows
    )
    if parallel > 1 and faster_at_once(one, one if single else engine, parallel, typical, clock):
        batching = replace(batching, calls=parallel)
    rate = 1 / (token * typical + call / 8)  # eight texts a call
    return Calibration(1e3 * call, 1e6 * token, batching, int(single), rate)


class OtherWork:
    """What other processes make of this one's cores, from now on."""

    def __init__(self) -> None:
        self.begun = self._now()

    def share(self) -> float:
        """0 (nothing) to 1 (all of the cores' time); 0 where the system does not tell."""
        busy, total, own = (now - then for now, then in zip(self._now(), self.begun, strict=True))
        return max(0.0, busy - own) / total if total > 0 else 0.0

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Seconds that the cores were busy, and all seconds of theirs, and those of this process."""
        cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        stat = Path("/proc/stat")
        lines = stat.read_text(encoding="ascii").splitlines() if stat.is_file() else []
        rows = [[int(n) for n in line.split()[1:9]] for line in lines if line.split(" ")[0] in cores]
        ticks, idle = sum(map(sum, rows)), sum(row[3] + row[4] for row in rows)  # idle and waiting for a disk
        second = os.sysconf("SC_CLK_TCK")
        return (ticks - idle) / second, ticks / second, time.process_time()


def costs(engine: Engine, typical: int, clock: Clock = time.perf_counter) -> tuple[float, float]:
    """Seconds of a call, and of a token in it: a line through the fastest calls of four shapes; zeros where noisy."""
    shapes = [(1, max(4, typical // 4)), (1, typical), (4, typical), (8, typical)]
    rounds = measure(engine, shapes, clock)
    fastest = rounds.min(axis=0)
    if len(rounds) < FEWEST_ROUNDS or (np.median(rounds, axis=0) > NOISE * fastest).any():
        return 0.0, 0.0
    tokens = np.array([rows * length for rows, length in shapes], float)
    weights = 1 / fastest  # relative errors: a long call's noise is larger
    line = np.linalg.lstsq(np.stack([weights, tokens * weights], 1), fastest * weights, rcond=None)[0]
    call, token = float(line[0]), float(line[1])
    return (max(call, 0.0), token) if token > 0 else (0.0, 0.0)


def all_faster(one: Engine, other: Engine, shape: Shape, clock: Clock, gain: float) -> bool:
    """Whether `one` is faster than `other` by `gain` in every round, measured in turn."""
    ours: list[float] = []
    theirs: list[float] = []
    stop = clock() + SECONDS
    for engine in (one, other):
        warm(engine, [shape])
    while len(ours) < MOST_ROUNDS and (clock() < stop or len(ours) < FEWEST_ROUNDS):
        ours.append(seconds(one, shape, clock))
        theirs.append(seconds(other, shape, clock))
    return all(a < (1 - gain) * b for a, b in zip(ours, theirs, strict=True))


def faster_at_once(one: Engine, engine: Engine, calls: int, length: int, clock: Clock) -> bool:
    """Whether `calls` calls of `one` at once are faster by `GAIN` than one call of `engine` with all their rows: the
    medians of rounds in turn."""
    part, whole = (ROWS_A_CALL, length), (ROWS_A_CALL * calls, length)
    ours: list[float] = []
    theirs: list[float] = []
    with ThreadPoolExecutor(calls) as pool:

        def at_once() -> float:
            begin = clock()
            list(pool.map(lambda _: one(inputs_of(part)), range(calls)))
            return clock() - begin

        at_once()
        stop = clock() + SECONDS
        while len(ours) < MOST_ROUNDS and (clock() < stop or len(ours) < FEWEST_ROUNDS):
            ours.append(at_once())
            theirs.append(seconds(engine, whole, clock))
    return bool(np.median(ours) < (1 - GAIN) * np.median(theirs))


def token_gain(engine: Engine, rows: tuple[int, int], length: int, clock: Clock) -> bool:
    """Whether a token is cheaper in calls of rows[0] than of rows[1] rows, in every round, by `GAIN`."""
    if rows[0] >= min(rows[1], ON_CPU.max_rows):
        return False  # max_rows cuts both alike
    many = min(rows[1], ON_CPU.max_rows)
    rounds = measure(engine, [(rows[0], length), (many, length)], clock)
    if len(rounds) < FEWEST_ROUNDS:
        return False
    return bool((rounds[:, 0] / rows[0] < (1 - GAIN) * rounds[:, 1] / many).all())


def measure(engine: Engine, shapes: Sequence[Shape], clock: Clock) -> np.ndarray:
    """Seconds of calls, [rounds, shapes], shapes in turn, for about `SECONDS`; no rounds where one takes longer."""
    warm(engine, shapes[:1])
    start = clock()
    rounds: list[list[float]] = []
    while len(rounds) < MOST_ROUNDS:
        if (clock() - start) * (len(rounds) + 1) / max(len(rounds), 1) > SECONDS and rounds:
            break
        rounds.append([seconds(engine, shape, clock) for shape in shapes])
    return np.array(rounds)


def warm(engine: Engine, shapes: Sequence[Shape]) -> None:
    """A call that is not counted."""
    for shape in shapes:
        engine(inputs_of(shape))


def seconds(engine: Engine, shape: Shape, clock: Clock) -> float:
    """Of one call."""
    tensors = inputs_of(shape)
    begin = clock()
    engine(tensors)
    return max(clock() - begin, 1e-9)


def inputs_of(shape: Shape) -> dict[str, np.ndarray]:
    """Tokens that any vocabulary has; none is padding (0)."""
    return {"input_ids": np.ones(shape, np.int64), "token_type_ids": np.zeros(shape, np.int64)}
