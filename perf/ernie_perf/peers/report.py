"""The results of a comparison as a Markdown table and as JSON."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ernie_runtime.json_types import JsonObject

from ..machine import describe_machine, installed_versions
from .runner import PeerResult
from .standalone import Case

PACKAGES = (
    *("nvidia-pytriton", "onnxruntime", "tokenizers", "fastapi", "uvicorn", "litserve", "mosec"),
    *("infinity-emb", "sentence-transformers", "transformers", "torch"),
)


@dataclass(frozen=True, kw_only=True)
class TokenLengths:
    """Tokens per text, special tokens included."""

    min: int
    mean: float
    max: int


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """What all peers were asked, and how."""

    texts: int
    left_out: int  # texts of the file that are too long or empty
    tokens: TokenLengths
    concurrency: int  # callers
    rounds: int


def to_json(case: Case, settings: ComparisonSettings, results: Sequence[PeerResult]) -> JsonObject:
    """All of it; rates in texts/s, times in ms."""
    machine = {
        "cpu": describe_machine().cpu,
        "python": platform.python_version(),
        "versions": installed_versions(PACKAGES),
    }
    peers = [result.to_json() for result in results]
    return {"case": asdict(case), **asdict(settings), "machine": machine, "peers": peers}


def to_markdown(case: Case, settings: ComparisonSettings, results: Sequence[PeerResult]) -> str:
    """The table, fastest first, and a line for each peer without figures."""
    measured = sorted((r for r in results if r.rounds), key=lambda r: -r.median.rate)
    engine_rate = next((r.median.rate for r in measured if r.name == "engine"), None)
    tokens = settings.tokens
    lines = [
        f"{case.task}, variant {case.variant}: {settings.texts} texts of {tokens.mean:.1f} tokens on average "
        f"({tokens.min} to {tokens.max}), {settings.concurrency} callers in a closed loop, one text a request, HTTP; "
        f"{case.threads} threads on {describe_machine().cpu}; medians of {settings.rounds} rounds in turn. "
        "The same ONNX file, or its weights; every answer checked.",
        "",
        "| peer | texts/s | (min to max) | of the engine | p50 ms | p95 ms | p99 ms | |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for result in measured:
        median, rates = result.median, [figures.rate for figures in result.rounds]
        share = f"{100 * median.rate / engine_rate:.0f}%" if engine_rate else "-"
        cells = [result.name, f"{median.rate:.0f}", f"{min(rates):.0f} to {max(rates):.0f}", share]
        cells += [f"{median.p50:.1f}", f"{median.p95:.1f}", f"{median.p99:.1f}", result.description]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    lines += [f"- {r.name}: refused, {r.refused}" for r in results if r.refused]
    lines += [f"- {r.name}: skipped, {r.skipped}" for r in results if r.skipped]
    if not measured:
        lines.append("No peer could be measured.")
    versions = installed_versions(PACKAGES)
    lines.append("- versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    return "\n".join(lines) + "\n"
