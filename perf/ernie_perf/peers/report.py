"""What a comparison found, as a Markdown table and as JSON."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from .case import Case
from .runner import Result

PACKAGES = (
    *("nvidia-pytriton", "onnxruntime", "tokenizers", "fastapi", "uvicorn", "litserve", "mosec"),
    *("infinity-emb", "sentence-transformers", "transformers", "torch"),
)


def machine() -> dict[str, Any]:
    """Processor and versions."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {"cpu": cpu, "python": platform.python_version(), "versions": versions}


def record(case: Case, settings: Mapping[str, Any], results: Sequence[Result]) -> dict[str, Any]:
    """All of it, for machines; rates in texts a second, times in milliseconds."""
    peers = [{**asdict(result), **({"median": asdict(result.median)} if result.rounds else {})} for result in results]
    return {"case": asdict(case), **settings, "machine": machine(), "peers": peers}


def markdown(case: Case, settings: Mapping[str, Any], results: Sequence[Result]) -> str:
    """The table, fastest first, and a line for each peer without figures."""
    found = sorted((r for r in results if r.rounds), key=lambda r: -r.median.rate)
    limit = next((r.median.rate for r in found if r.name == "engine"), None)
    on, lengths = machine(), settings["tokens"]
    lines = [
        f"{case.task}, variant {case.variant}: {settings['texts']} texts of {lengths['mean']:.1f} tokens on average "
        f"({lengths['min']} to {lengths['max']}), {settings['concurrency']} callers in a closed loop, one text a "
        f"request, HTTP; {case.threads} threads on {on['cpu']}; medians of {settings['rounds']} rounds in turn. "
        "The same ONNX file, or its weights; every answer checked.",
        "",
        "| peer | texts/s | (min to max) | of the engine | p50 ms | p95 ms | p99 ms | |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for result in found:
        row, rates = result.median, [one.rate for one in result.rounds]
        share = f"{100 * row.rate / limit:.0f}%" if limit else "-"
        figures = f"{row.rate:.0f} | {min(rates):.0f} to {max(rates):.0f} | {share}"
        lines.append(f"| {result.name} | {figures} | {row.p50:.1f} | {row.p95:.1f} | {row.p99:.1f} | {result.what} |")
    lines.append("")
    lines += [f"- {r.name}: refused, {r.refused}" for r in results if r.refused]
    lines += [f"- {r.name}: skipped, {r.skipped}" for r in results if r.skipped]
    if not found:
        lines.append("No peer could be measured.")
    lines.append("- versions: " + ", ".join(f"{name} {version}" for name, version in on["versions"].items()))
    return "\n".join(lines) + "\n"
