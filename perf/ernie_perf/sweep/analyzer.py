"""One measurement by perf_analyzer: the command, the files it writes, and the answers it received."""

from __future__ import annotations

import csv
import gzip
import json
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.json_types import Json, JsonObject

from ..errors import TargetError
from .answers import EXPORT_ERRORS, AnswerChecker
from .records import LoadFigures
from .settings import Load

WINDOWS = 3  # perf_analyzer takes three before it calls a measurement stable
UNSTABLE_PERCENT = "999"  # that windows may differ: the noise comes from repeated rounds, not from repeated windows
EMPTY_WINDOW = "use a larger time window"  # perf_analyzer's words where nothing was answered in one
LONGEST_SECONDS = 60.0  # a measurement of this length is not repeated with a longer one
PATIENCE = 5.0  # perf_analyzer waits for every answer before it ends: at most so many times the measurement, and 30 s


@dataclass(frozen=True)
class Analyzer:
    """perf_analyzer and its environment, as `ernie_serve.perf_analyzer.locate` finds them."""

    binary: Path
    environment: Mapping[str, str]

    def version(self) -> str:
        """As perf_analyzer prints it."""
        result = subprocess.run(
            [self.binary, "--version"], env=dict(self.environment), capture_output=True, text=True, check=False
        )
        return (result.stdout or result.stderr).strip()

    def measure(
        self, *, address: str, model: str, load: Load, seconds: float, data: Path, checker: AnswerChecker, raw: Path
    ) -> LoadFigures:
        """Measure for about `seconds`, longer where a window had no answer.

        address: HOST:PORT of gRPC. data: a file for `--input-data`. raw: path of the raw files, without an ending.
        Errors: TargetError where perf_analyzer fails, which it does at the first request that the server refuses or
        that has another answer than `validation_data`.
        """
        table, export = _with_ending(raw, ".csv"), _with_ending(raw, ".json")
        command = [str(self.binary), "-m", model, "-i", "grpc", "-u", address, "--input-data", str(data)]
        command += ["-b", str(checker.texts)]
        command += ["--measurement-interval", str(max(200, round(1000 * seconds / WINDOWS)))]
        command += ["--stability-percentage", UNSTABLE_PERCENT, "--max-trials", "10"]
        command += ["--verbose-csv", "-f", str(table), "--profile-export-file", str(export), *load.arguments()]
        for path in (table, export):  # of a measurement that failed
            path.unlink(missing_ok=True)
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        try:
            result = _run(command, dict(self.environment), 30 + PATIENCE * seconds)
            wall_seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
            if EMPTY_WINDOW in result.stderr + result.stdout and seconds < LONGEST_SECONDS:
                return self.measure(
                    address=address, model=model, load=load, seconds=3 * seconds, data=data, checker=checker, raw=raw
                )
            if result.returncode != 0 or not table.is_file() or not export.is_file():
                raise TargetError(f"perf_analyzer: {_reason(result)}")
            cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            return _figures(_read_table(table), _check_export(export, checker), wall_seconds, cpu_seconds)
        finally:
            export.unlink(missing_ok=True)


def _run(command: list[str], environment: dict[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise TargetError(
            f"perf_analyzer did not end within {timeout:.0f} s: the load is far beyond what the server answers"
        ) from None


def _reason(result: subprocess.CompletedProcess[str]) -> str:
    """Its message about the first thread that failed (the cause), or about its arguments; else its last line."""
    lines = [line.strip() for line in (result.stderr or result.stdout).splitlines() if line.strip()]
    causes = [line.split("had error:", 1)[1].strip() for line in lines if "had error:" in line]
    causes += [line for line in lines if line.startswith("Error: ")]  # its usage follows
    return (causes or lines[-1:] or [f"exit code {result.returncode}"])[0]


def _read_table(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file), None)
    if row is None:
        raise TargetError("perf_analyzer wrote an empty table")
    return row


@dataclass(frozen=True, kw_only=True)
class _Check:
    """All requests of an export."""

    requests: int
    checked: int
    wrong: int
    wrong_example: Json | None


def _figures(row: Mapping[str, str], check: _Check, wall_seconds: float, cpu_seconds: float) -> LoadFigures:
    """row: of the table, which has latencies in microseconds."""
    return LoadFigures(
        throughput=float(row["Inferences/Second"]),
        p50_ms=float(row["p50 latency"]) / 1000,
        p90_ms=float(row["p90 latency"]) / 1000,
        p95_ms=float(row["p95 latency"]) / 1000,
        p99_ms=float(row["p99 latency"]) / 1000,
        avg_ms=float(row["Avg latency"]) / 1000,
        delayed=int(float(row.get("Delayed Request Count") or 0)),
        requests=check.requests,
        checked=check.checked,
        wrong=check.wrong,
        wrong_example=check.wrong_example,
        seconds=round(wall_seconds, 3),
        client_cpu_s=round(cpu_seconds, 3),
    )


def _check_export(export: Path, checker: AnswerChecker) -> _Check:
    """Compare every answer; keep the export compressed, without its texts (they would repeat the data set)."""
    document = json.loads(export.read_text(encoding="utf-8", errors=EXPORT_ERRORS))
    example: JsonObject | None = None
    requests = checked = wrong = 0
    for request in _requests(document):
        result = checker.check(request)
        requests, checked, wrong = requests + 1, checked + result.checked, wrong + len(result.wrong)
        if result.wrong and example is None:
            item, outputs = result.wrong[0]
            example = {"inputs": item, "outputs": outputs, "expected": checker.expected.results[item]}
        request.pop("request_inputs", None)
        request.pop("response_outputs", None)
    with gzip.open(_with_ending(export, ".gz"), "wt", encoding="utf-8") as file:
        json.dump(document, file)
    return _Check(requests=requests, checked=checked, wrong=wrong, wrong_example=example)


def _requests(document: Json) -> Iterator[JsonObject]:
    for experiment in document["experiments"]:
        yield from experiment["requests"]


def _with_ending(path: Path, ending: str) -> Path:
    """`with_suffix` would take the end of a variant's name (w0.75-int8) for a suffix."""
    return path.with_name(path.name + ending)
