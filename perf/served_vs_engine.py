"""The served pipeline beside the bare engine: the same texts, the same run, rounds in turn.

    python perf/served_vs_engine.py --task tnews --texts dev.json [--rounds 5] [--output docs/served.md]

The engine: one ONNX Runtime session with all cores, called in this process on texts that were tokenized before,
at every batch size of --batches, in the order of the file and sorted by length. The pipeline: perf_analyzer, gRPC,
one text a request, at every concurrency of --concurrency. Medians over the rounds; ratios to the engine's
best batch size in the same round.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ernie_runtime.batching import pad_rows
from ernie_runtime.pipeline import Pipeline
from ernie_runtime.windows import Window
from ernie_serve import perf_analyzer
from ernie_serve.server import ServerOptions, TritonServer


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--repository", type=Path, default=Path("model_repository"))
    p.add_argument("--task", default="tnews")
    p.add_argument("--texts", type=Path, required=True, help="JSON lines with --field, or one text a line")
    p.add_argument("--field", default="sentence")
    p.add_argument("--limit", type=int, default=2000)
    p.add_argument("--batches", default="1,4,8,16,32,64")
    p.add_argument("--concurrency", default="1,8,32")
    p.add_argument("--requests", type=int, default=1500, help="requests in a measurement at the larger concurrencies")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--output", type=Path)
    return p


def read_texts(path: Path, field: str, limit: int) -> list[str]:
    """The texts of a file."""
    rows = [row for row in path.read_text(encoding="utf-8").split("\n") if row][:limit]
    return [json.loads(row)[field] if row.startswith("{") else row for row in rows]


def engine_rate(pipeline: Pipeline, windows: Sequence[Window], batch: int, by_length: bool) -> float:
    """Texts a second of the bare engine, padded per batch."""
    rows = sorted(windows, key=lambda w: len(w.input_ids)) if by_length else list(windows)
    batches = [
        {
            "input_ids": pad_rows([w.input_ids for w in rows[i : i + batch]]),
            "token_type_ids": pad_rows([w.token_type_ids for w in rows[i : i + batch]]),
        }
        for i in range(0, len(rows), batch)
    ]
    started = time.perf_counter()
    for tensors in batches:
        pipeline.engine(tensors)
    return len(rows) / (time.perf_counter() - started)


def perf(task: str, url: str, data: Path, concurrency: int, requests: int) -> dict[str, float]:
    """One perf_analyzer measurement: texts a second and latencies in milliseconds."""
    binary, environment = perf_analyzer.locate()
    count = max(100, requests // 4 if concurrency == 1 else requests)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "perf.csv")
        command = [str(binary), "-m", task, "-i", "grpc", "-u", url, "--input-data", str(data), "-b", "1"]
        command += ["--concurrency-range", str(concurrency), "--measurement-mode", "count_windows"]
        command += ["--measurement-request-count", str(count), "--stability-percentage", "999", "--max-trials", "10"]
        command += ["--percentile", "99", "-f", str(table)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not table.is_file():
            raise SystemExit(f"perf_analyzer failed: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
        row = next(csv.DictReader(table.open(encoding="utf-8")))
    return {
        "rate": float(row["Inferences/Second"]),
        "p50": float(row["p50 latency"]) / 1000,
        "p99": float(row["p99 latency"]) / 1000,
    }


def statistics_of(server: TritonServer, model: str) -> tuple[int, int]:
    """(inferences, executions) of a model so far, from Triton's own statistics."""
    import urllib.request

    with urllib.request.urlopen(f"http://{server.http_address}/v2/models/{model}/stats") as reply:
        row = json.load(reply)["model_stats"][0]
    return row["inference_count"], row["execution_count"]


def main() -> int:
    """Measure and report."""
    args = parser().parse_args()
    texts = read_texts(args.texts, args.field, args.limit)
    pipeline = Pipeline.load(args.repository, args.task)
    _, windows = pipeline.kind.documents([(t,) for t in texts], pipeline.tokenizer, pipeline.manifest)
    lengths = [len(w.input_ids) for w in windows]
    batches = [int(b) for b in args.batches.split(",")]
    concurrency = [int(c) for c in args.concurrency.split(",")]
    engine: dict[tuple[int, bool], list[float]] = {(b, s): [] for b in batches for s in (False, True)}
    served: dict[int, list[dict[str, float]]] = {c: [] for c in concurrency}
    occupancy: dict[int, list[float]] = {c: [] for c in concurrency}
    options = ServerOptions(args.repository, http_port=0, grpc_port=0, metrics_port=0)
    with TritonServer(options) as server, tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "texts.json")
        data.write_text(json.dumps({"data": [{"TEXT": [t]} for t in texts]}, ensure_ascii=False), encoding="utf-8")
        encoder = f"{args.task}_encoder_{pipeline.manifest.recommended}"
        for number in range(args.rounds):
            for batch, by_length in engine:
                engine[batch, by_length].append(engine_rate(pipeline, windows, batch, by_length))
            for c in concurrency:
                before = statistics_of(server, encoder)
                served[c].append(perf(args.task, server.grpc_address, data, c, args.requests))
                after = statistics_of(server, encoder)
                occupancy[c].append((after[0] - before[0]) / max(1, after[1] - before[1]))
                sys.stderr.write(f"round {number + 1}: concurrency {c}: {served[c][-1]['rate']:.0f} texts/s\n")
    report = render(args.task, len(texts), lengths, engine, served, occupancy)
    sys.stdout.write(report)
    if args.output:
        args.output.write_text(report, encoding="utf-8")
    return 0


def render(
    task: str,
    texts: int,
    lengths: Sequence[int],
    engine: dict[tuple[int, bool], list[float]],
    served: dict[int, list[dict[str, float]]],
    occupancy: dict[int, list[float]],
) -> str:
    """The Markdown report."""
    rates = {key: statistics.median(values) for key, values in engine.items()}
    in_order = max((rate, batch) for (batch, by_length), rate in rates.items() if not by_length)
    by_length = max((rate, batch) for (batch, sort), rate in rates.items() if sort)
    rounds = len(next(iter(engine.values())))
    lines = [
        f"{task}: {texts} texts, {np.mean(lengths):.1f} tokens on average ({min(lengths)} to {max(lengths)}); "
        f"{len(os.sched_getaffinity(0))} cores; medians of {rounds} rounds in turn.",
        "",
        "| | texts/s | of the engine in order | of the engine sorted | p50 ms | p99 ms | texts an execution |",
        "|---|---|---|---|---|---|---|",
        f"| bare engine, in order, best batch {in_order[1]} | {in_order[0]:.0f} | 100% "
        f"| {100 * in_order[0] / by_length[0]:.0f}% | | | |",
        f"| bare engine, sorted by length, best batch {by_length[1]} | {by_length[0]:.0f} "
        f"| {100 * by_length[0] / in_order[0]:.0f}% | 100% | | | |",
    ]
    for c, rows in served.items():
        rate, p50, p99 = (statistics.median(row[key] for row in rows) for key in ("rate", "p50", "p99"))
        shares = [
            statistics.median(
                row["rate"] / max(engine[b, s][i] for b, s in engine if s == sort) for i, row in enumerate(rows)
            )
            for sort in (False, True)
        ]
        lines.append(
            f"| served, concurrency {c} | {rate:.0f} | {100 * shares[0]:.0f}% | {100 * shares[1]:.0f}% "
            f"| {p50:.1f} | {p99:.1f} | {statistics.median(occupancy[c]):.1f} |"
        )
    lines += [
        "",
        "Bare engine by batch size, texts/s (in order / sorted): "
        + ", ".join(f"{b}: {rates[b, False]:.0f} / {rates[b, True]:.0f}" for b in sorted({b for b, _ in engine})),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
