"""Small recorded runs, made by hand: the JSON of run.json and records.jsonl as a sweep writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ernie_perf.sweep.description import RunDescription

VARIANTS = {
    "fp32": {"engine": "onnxruntime", "precision": "fp32", "bytes": 30_000_000, "figure": 52.5, "drop": None},
    "int8": {"engine": "openvino", "precision": "int8", "bytes": 8_000_000, "figure": 52.1, "drop": 0.4},
}


def about(tasks: Sequence[str] = ("news",), **settings: Any) -> dict[str, Any]:
    """run.json of a sweep with two variants a task."""
    texts = {"source": "dev.json", "texts": 100, "skipped": 0, "windows": 100, "tokens_mean": 23.4, "tokens_max": 55}
    texts |= {"tokens_p50": 23, "tokens_p99": 40, "sha256": "feed"}
    task = {"kind": "sequence_classification", "title": "News <titles> | 15", "version": 1, "metric": "accuracy"}
    task |= {"recommended": "int8", "max_length": 128, "texts": texts, "variants": VARIANTS}
    defaults: dict[str, Any] = {"repository": "model_repository", "concurrency": [1, 8, 32], "rates": [50, 100, 400]}
    defaults |= {"rounds": 3, "seconds": 2.0, "limit": 100, "engine_batches": [1, 16], "engine_texts": 64}
    defaults |= {"config_name": "ragged", "device": "cpu", "quick": False}
    return {
        "schema": 1,
        "settings": {**defaults, **settings},
        "tasks": {name: task for name in tasks},
        "machine": {
            "cpu": "Toy CPU",
            "instructions": ["avx2"],
            "threads": 2,
            "gpus": [],
            "load_average": [0.1, 0.1, 0.1],
        },
        "versions": {"python": "3.11"},
        "server": {"version": "2.51.0"},
    }


def description(tasks: Sequence[str] = ("news",), **settings: Any) -> RunDescription:
    """The same, read."""
    return RunDescription.from_json(about(tasks, **settings))


def served(
    variant: str, mode: str, value: float, number: int, throughput: float, p99: float, **more: Any
) -> dict[str, Any]:
    """A record of the served task `news`; the encoder takes 2 ms, tokenizer and postprocessor 0.5 ms each."""
    stages = []
    for model, infer in (("news_tokenizer", 0.4), (f"news_encoder_{variant}", 1.9), ("news_postprocess", 0.4)):
        parts = {"queue_ns": 50_000, "input_ns": 20_000, "infer_ns": int(infer * 1e6), "output_ns": 30_000}
        stages.append({"model": model, "inferences": 1000, "executions": 250, "batch": 4.0, "failures": 0, **parts})
    used = {"cpu_s": 1.0, "rss": 50_000_000, "processes": 1}
    processes = {
        "tritonserver": used,
        "news_tokenizer": {**used, "cpu_s": 0.5},
        f"news_encoder_{variant}": {**used, "cpu_s": 8.0, "rss": 150_000_000},
        "news_encoder_other": {**used, "cpu_s": 0.1},
        "weather_tokenizer": {**used, "cpu_s": 0.1},
        "news_postprocess": {**used, "cpu_s": 0.5},
    }
    record = {"task": "news", "variant": variant, "mode": mode, "value": value, "round": number, "engine": "e"}
    record |= {"throughput": throughput, "p50_ms": p99 / 2, "p90_ms": p99 * 0.8, "p95_ms": p99 * 0.9, "p99_ms": p99}
    record |= {"avg_ms": 4.0, "errors": 0, "seconds": 10.0, "client_cpu_s": 0.2, "stages": stages}
    return {**record, "requests": 1000, "checked": 1000, "wrong": 0, "processes": processes, **more}


def engine(variant: str, batch: int, order: str, number: int, throughput: float) -> dict[str, Any]:
    """A record of the bare encoder."""
    record = {"task": "news", "variant": variant, "mode": "engine", "value": batch, "round": number, "order": order}
    return {**record, "throughput": throughput, "padding": {"real_tokens": 100, "padding_tokens": 20}}


def both_variants(scale: float = 1.0, noise: Sequence[float] = (1.0, 1.02, 0.98)) -> list[dict[str, Any]]:
    """Three rounds of two variants at concurrency 1, 8 and 32, and 50, 100 and 400 requests/s; int8 is twice as fast.

    scale: of all throughputs, and of latencies the other way.
    """
    rows = []
    for number, wobble in enumerate(noise, 1):
        for variant, speed in (("fp32", 1.0), ("int8", 2.0)):
            factor = scale * speed * wobble
            for value, rate, p99 in ((1, 100, 12), (8, 200, 45), (32, 250, 150)):
                rows.append(served(variant, "concurrency", value, number, rate * factor, p99 / factor))
            for target_rate, p99 in ((50, 15), (100, 30)):
                rows.append(served(variant, "rate", target_rate, number, target_rate * wobble, p99 / factor))
            # fp32 answers 240 of 400 requests/s, int8 keeps up.
            rows.append(served(variant, "rate", 400, number, min(400, 240 * factor), 60 / factor))
            for order, rate in (("file", 280), ("length", 400)):
                rows += [
                    engine(variant, batch, order, number, rate * factor * size) for batch, size in ((1, 0.5), (16, 1))
                ]
    return rows


def write(folder: Path, records: Sequence[Mapping[str, Any]], settings: Mapping[str, Any] | None = None) -> Path:
    """The run's files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(settings or about()), encoding="utf-8")
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    (folder / "records.jsonl").write_text(lines, encoding="utf-8")
    return folder
