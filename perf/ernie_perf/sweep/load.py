"""One measurement by perf_analyzer: the command, what it wrote, and the answers it got."""

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
from typing import Any

from ..errors import TargetError
from .answers import AS_SENT, Answers

WINDOWS = 3  # perf_analyzer takes three before it calls a measurement stable
UNSTABLE = "999"  # per cent that they may differ: repeated rounds, not repeated windows, tell the noise
WINDOW_EMPTY = "use a larger time window"  # perf_analyzer, where nothing was answered in one
LONGEST = 60.0  # seconds of a measurement that are not made longer
PATIENCE = 5.0  # times the measurement's seconds, and 30 s: perf_analyzer waits for every answer before it ends
LATENCIES = ("p50", "p90", "p95", "p99")


@dataclass(frozen=True)
class Load:
    """How requests arrive: `concurrency` (value: requests in flight) or `rate` (value: Poisson, requests a second)."""

    mode: str
    value: float

    def __str__(self) -> str:
        return f"concurrency {self.value:g}" if self.mode == "concurrency" else f"{self.value:g} requests/s"

    def arguments(self) -> list[str]:
        """For perf_analyzer. An open loop must not wait for answers: asynchronous calls."""
        if self.mode == "concurrency":
            return ["--concurrency-range", f"{self.value:g}"]
        return ["--request-rate-range", f"{self.value:g}", "--request-distribution", "poisson", "--async"]


@dataclass(frozen=True)
class Analyzer:
    """perf_analyzer and its environment, as `ernie_serve.perf_analyzer.locate` finds them."""

    binary: Path
    environment: Mapping[str, str]

    def version(self) -> str:
        """What it says of itself."""
        done = subprocess.run(
            [self.binary, "--version"], env=dict(self.environment), capture_output=True, text=True, check=False
        )
        return (done.stdout or done.stderr).strip()

    def measure(
        self, address: str, model: str, load: Load, seconds: float, data: Path, answers: Answers, raw: Path
    ) -> dict[str, Any]:
        """Measure about `seconds` s, longer where no answer came in a window; throughput, latencies in ms, answers
        checked and wrong, CPU seconds of the client.

        address: of gRPC. answers: what is expected, and how many texts a request has. raw: path without ending for the
        raw CSV and JSON. Errors: TargetError where perf_analyzer fails, which it does at the first request that the
        server refuses or answers otherwise than `validation_data`.
        """
        table, export = _beside(raw, ".csv"), _beside(raw, ".json")
        command = [str(self.binary), "-m", model, "-i", "grpc", "-u", address, "--input-data", str(data)]
        command += ["-b", str(answers.texts)]
        command += ["--measurement-interval", str(max(200, round(1000 * seconds / WINDOWS)))]
        command += ["--stability-percentage", UNSTABLE, "--max-trials", "10", "--verbose-csv", "-f", str(table)]
        command += ["--profile-export-file", str(export), *load.arguments()]
        for old in (table, export):  # of a measurement that failed
            old.unlink(missing_ok=True)
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        try:
            done = _run(command, dict(self.environment), 30 + PATIENCE * seconds)
            took, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
            if WINDOW_EMPTY in done.stderr + done.stdout and seconds < LONGEST:
                return self.measure(address, model, load, 3 * seconds, data, answers, raw)
            if done.returncode != 0 or not table.is_file() or not export.is_file():
                raise TargetError(f"perf_analyzer: {_reason(done)}")
            found = _figures(table)
            found.update(_check(export, answers))
            found["seconds"] = round(took, 3)
            found["client_cpu_s"] = round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 3)
            return found
        finally:
            export.unlink(missing_ok=True)


def _run(command: list[str], environment: dict[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise TargetError(
            f"perf_analyzer did not end within {timeout:.0f} s: far more is asked than the server answers"
        ) from None


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """What it says of the first thread that failed, which is the cause, or of its arguments; else its last line."""
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    causes = [line.split("had error:", 1)[1].strip() for line in lines if "had error:" in line]
    causes += [line for line in lines if line.startswith("Error: ")]  # its usage follows
    return (causes or lines[-1:] or [f"exit code {done.returncode}"])[0]


def _figures(table: Path) -> dict[str, Any]:
    with table.open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file), None)
    if row is None:
        raise TargetError("perf_analyzer wrote an empty table")
    found: dict[str, Any] = {"throughput": float(row["Inferences/Second"])}
    found.update({f"{name}_ms": float(row[f"{name} latency"]) / 1000 for name in LATENCIES})
    found["avg_ms"] = float(row["Avg latency"]) / 1000
    found["delayed"] = int(float(row.get("Delayed Request Count") or 0))
    return found


def _check(export: Path, answers: Answers) -> dict[str, Any]:
    """Compare every answer; keep the export without its texts (they would repeat the data set), compressed."""
    document = json.loads(export.read_text(encoding="utf-8", errors=AS_SENT))
    example: dict[str, Any] = {}
    requests = checked = wrong = 0
    for request in _requests(document):
        requests += 1
        found = answers.compare(request)
        checked, wrong = checked + found.checked, wrong + len(found.wrong)
        for item, outputs in found.wrong:
            example = example or {"inputs": item, "outputs": outputs, "expected": answers.expected.results[item]}
        request.pop("request_inputs", None)
        request.pop("response_outputs", None)
    with gzip.open(_beside(export, ".gz"), "wt", encoding="utf-8") as file:
        json.dump(document, file)
    counts = {"requests": requests, "checked": checked, "wrong": wrong}
    return {**counts, "wrong_example": example} if example else counts


def _requests(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for experiment in document["experiments"]:
        yield from experiment["requests"]


def _beside(path: Path, ending: str) -> Path:
    """`with_suffix` would take the end of a variant's name (w0.75-int8) for one."""
    return path.with_name(path.name + ending)
