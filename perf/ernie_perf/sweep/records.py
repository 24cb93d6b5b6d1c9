"""Records of a sweep: one measurement each, one JSON object a line of records.jsonl."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ernie_runtime.json_types import Json, JsonObject

from ..processes import UsedResources
from .description import from_fields
from .settings import ENGINE, RATE

SUSTAINED = 0.95
"""A rate is sustained where this share of it is answered (less what chance sends); below it the queue grows for as long
as the load lasts."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Which measurement of a sweep."""

    task: str
    variant: str
    mode: str
    value: float  # requests in flight, requests/s, or the bare encoder's batch size
    round: int
    order: str = ""  # of the texts, for the bare encoder

    def name(self) -> str:
        """As a file name, and for people."""
        order = f"-{self.order}" if self.order else ""
        return f"{self.task}_{self.variant}-{self.mode}-{self.value:g}{order}-round-{self.round}"

    @classmethod
    def of(cls, record: Json) -> Cell:
        """The cell of a JSON record."""
        return from_fields(cls, record, value=float(record["value"]))


@dataclass(frozen=True, kw_only=True)
class LoadFigures:
    """What perf_analyzer measured of one load. Latencies are a request's, as the client sees them."""

    throughput: float  # texts/s
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    avg_ms: float
    delayed: int = 0  # open loop: requests that perf_analyzer sent late
    requests: int = 0
    checked: int = 0  # answers compared
    wrong: int = 0
    wrong_example: Json | None = None  # inputs, outputs and expected of the first wrong answer
    seconds: float = 0.0  # perf_analyzer's wall time
    client_cpu_s: float = 0.0  # perf_analyzer's CPU time


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One model of the ensemble over a measurement; medians over several rounds may have fractions.

    Times are nanoseconds per request: all requests of a batch wait for the whole batch.
    """

    model: str
    inferences: float  # texts
    executions: float
    batch: float  # inferences per execution
    failures: float
    queue_ns: float
    input_ns: float
    infer_ns: float
    output_ns: float


@dataclass(frozen=True, kw_only=True)
class PaddingTokens:
    """Tokens that the encoder ran."""

    real_tokens: int = 0
    padding_tokens: int = 0

    def since(self, earlier: PaddingTokens) -> PaddingTokens:
        """The difference of two readings of the counters."""
        return PaddingTokens(
            real_tokens=self.real_tokens - earlier.real_tokens,
            padding_tokens=self.padding_tokens - earlier.padding_tokens,
        )


@dataclass(frozen=True, kw_only=True)
class ServedRecord:
    """A load on the server, measured or failed."""

    cell: Cell
    engine: str = ""
    figures: LoadFigures | None = None  # None: perf_analyzer failed
    error: str = ""  # why the measurement does not count; empty where it does
    stages: tuple[Stage, ...] = ()
    processes: Mapping[str, UsedResources] | None = None  # by role; None: a server elsewhere
    padding: PaddingTokens | None = None  # None: the server has no such metrics

    def to_json(self) -> JsonObject:
        """Keys as docs/perf.md lists them; those without a value are left out."""
        document = {**vars(self.cell), "engine": self.engine, "errors": 0}
        if self.figures is not None:
            figures = asdict(self.figures)
            if self.figures.wrong_example is None:
                del figures["wrong_example"]
            document |= figures
        if self.error:
            document |= {"errors": (self.figures.wrong if self.figures else 0) or 1, "error": self.error}
        document["stages"] = [asdict(stage) for stage in self.stages]
        if self.processes is not None:
            document["processes"] = {role: asdict(used) for role, used in self.processes.items()}
        if self.padding is not None:
            document["padding"] = asdict(self.padding)
        return document


@dataclass(frozen=True, kw_only=True)
class EngineRecord:
    """A measurement of the bare encoder."""

    cell: Cell
    engine: str = ""
    throughput: float  # texts/s
    padding: PaddingTokens | None = None

    def to_json(self) -> JsonObject:
        """Keys as docs/perf.md lists them."""
        document = {**vars(self.cell), "engine": self.engine, "throughput": self.throughput}
        return document | ({"padding": asdict(self.padding)} if self.padding is not None else {})


@dataclass(frozen=True, kw_only=True)
class SkippedRecord:
    """A rate that was not tried."""

    cell: Cell
    reason: str

    def to_json(self) -> JsonObject:
        """Keys as docs/perf.md lists them."""
        return {**vars(self.cell), "skipped": self.reason}


Record = ServedRecord | EngineRecord | SkippedRecord


def record_from_json(document: Json) -> Record:
    """A line of records.jsonl. Errors: KeyError, TypeError, ValueError or AttributeError where it is not a record."""
    cell, engine, padding = Cell.of(document), document.get("engine", ""), document.get("padding")
    tokens = from_fields(PaddingTokens, padding) if padding else None
    if document.get("skipped"):
        return SkippedRecord(cell=cell, reason=document["skipped"])
    if cell.mode == ENGINE:
        return EngineRecord(cell=cell, engine=engine, throughput=document["throughput"], padding=tokens)
    processes = document.get("processes")
    return ServedRecord(
        cell=cell,
        engine=engine,
        figures=from_fields(LoadFigures, document) if "throughput" in document else None,
        error=document.get("error", ""),
        stages=tuple(from_fields(Stage, stage) for stage in document.get("stages", ())),
        processes={r: from_fields(UsedResources, u) for r, u in processes.items()} if processes is not None else None,
        padding=tokens,
    )


def failed(record: Record) -> bool:
    """Whether the measurement is to be tried again."""
    return isinstance(record, ServedRecord) and bool(record.error)


def is_sustained(record: ServedRecord) -> bool:
    """Whether the server answered what was sent; always true of a closed loop, which waits, and false after an error.

    A Poisson process of n expected requests sends n - 2 sqrt(n) or more 98 times in 100.
    """
    if record.error or record.figures is None:
        return False
    if record.cell.mode != RATE:
        return True
    rate, figures = record.cell.value, record.figures
    expected_requests = max(1.0, rate * figures.seconds)
    return figures.throughput >= rate * (SUSTAINED - 2 / math.sqrt(expected_requests))
