"""What a sweep measures and how, as plain data: the loads, the settings and the whole request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.json_types import Json

CONCURRENCY, RATE, ENGINE = "concurrency", "rate", "engine"
"""Modes of a measurement: closed loop, open loop, and the encoder without a server."""


@dataclass(frozen=True)
class Load:
    """How requests arrive: `concurrency` (value: requests in flight) or `rate` (value: requests/s, Poisson)."""

    mode: str
    value: float

    def __str__(self) -> str:
        return f"concurrency {self.value:g}" if self.mode == CONCURRENCY else f"{self.value:g} requests/s"

    def arguments(self) -> list[str]:
        """For perf_analyzer. An open loop must not wait for answers, so its calls are asynchronous."""
        if self.mode == CONCURRENCY:
            return ["--concurrency-range", f"{self.value:g}"]
        return ["--request-rate-range", f"{self.value:g}", "--request-distribution", "poisson", "--async"]


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """What is measured and how; a sweep resumes a folder only with equal settings and tasks."""

    repository: str  # name of the folder
    loads: tuple[Load, ...]
    rounds: int
    seconds: float  # per measurement
    limit: int  # texts per task
    engine: bool  # whether the bare encoder is measured too
    batches: tuple[int, ...]  # batch sizes of the bare encoder
    engine_texts: int  # texts per measurement of the bare encoder
    config_name: str  # of the server's model configurations; empty for the plain ones
    device: str  # cpu or gpu, for the record
    quick: bool
    request_texts: int = 1  # texts per request

    def to_json(self) -> dict[str, object]:
        """As run.json has it."""
        return {
            "repository": self.repository,
            "concurrency": [load.value for load in self.loads if load.mode == CONCURRENCY],
            "rates": [load.value for load in self.loads if load.mode == RATE],
            "rounds": self.rounds,
            "seconds": self.seconds,
            "limit": self.limit,
            "engine_batches": list(self.batches) if self.engine else [],
            "engine_texts": self.engine_texts,
            "config_name": self.config_name,
            "device": self.device,
            "quick": self.quick,
            # Left out where it is 1, so that runs recorded before there was a choice can be resumed.
            **({"request_texts": self.request_texts} if self.request_texts > 1 else {}),
        }

    @classmethod
    def from_json(cls, settings: Json) -> SweepSettings:
        """As `to_json` wrote it. Errors: KeyError for a setting that is missing."""
        loads = [Load(CONCURRENCY, value) for value in settings["concurrency"]]
        loads += [Load(RATE, value) for value in settings["rates"]]
        return cls(
            repository=settings["repository"],
            loads=tuple(loads),
            rounds=settings["rounds"],
            seconds=settings["seconds"],
            limit=settings["limit"],
            engine=bool(settings["engine_batches"]),
            batches=tuple(settings["engine_batches"]),
            engine_texts=settings["engine_texts"],
            config_name=settings["config_name"],
            device=settings["device"],
            quick=settings["quick"],
            request_texts=settings.get("request_texts", 1),
        )


@dataclass(frozen=True, kw_only=True)
class TaskSelection:
    """Which tasks and variants of a repository are measured, and with which texts."""

    repository: Path
    tasks: str  # names joined by commas, or "all"
    variants: str = "recommended"  # names joined by commas, "all" or "recommended"
    tasks_file: Path  # says how a task's data files are read
    texts: Mapping[str, Path]  # task -> file of texts, for tasks that have one of their own
    data_dir: Path | None = None  # one folder per task
    limit: int  # texts per task


@dataclass(frozen=True, kw_only=True)
class ServerAddresses:
    """A server that is running already; each HOST:PORT."""

    grpc: str
    http: str
    metrics: str = ""  # empty: the padding waste is not measured


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """All that the command line asks for."""

    selection: TaskSelection
    settings: SweepSettings
    server: ServerAddresses | None = None  # None: a server is started for the sweep
    output: Path | None = None  # None: a folder under build/perf, named by the settings and tasks
    json: bool = False  # print the summary as JSON
