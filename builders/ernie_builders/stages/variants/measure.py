"""Measure: the variants' encoders side by side on the task's own texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ernie_runtime.kinds import get_kind
from ernie_runtime.text.tokenization import ErnieTokenizer

from ...compression.measure import ROUNDS, TEXTS, Built, machine, measure, texts_measured
from .. import Context, Done, code_key
from ..data import read_split
from ..finetune import manifest_of
from ..names import done_of

NAME = "measure"


def inputs(context: Context, before: Mapping[str, Done]) -> dict[str, Any]:
    """The variants' models, the texts and the machine."""
    return {
        "variants": {name: before[done_of(name, "export")].key for name in context.task.variants},
        "data": before["data"].key,
        "machine": machine(),
        "code": code_key(),
    }


def run(context: Context, before: Mapping[str, Done], folder: Path) -> dict[str, Any]:
    """Nothing is left in the folder but the figures: see compress.measure.measure."""
    exported = {name: before[done_of(name, "export")] for name in context.task.variants}
    tokenizer = ErnieTokenizer.from_file(before["export"].folder / "tokenizer.json")
    manifest = manifest_of(context, before["fine-tune"], tokenizer)
    items = [e.texts for e in read_split(before["data"], "dev")[:TEXTS]] or list(manifest.examples)
    _, windows = get_kind(manifest.kind).documents(items, tokenizer, manifest)
    built = {
        name: Built(done.figures["engine"], done.folder / done.figures["file"], done.figures["settings"])
        for name, done in exported.items()
    }
    found = measure(built, windows, folder)
    (folder / "windows.npz").unlink()
    return {"variants": found, "machine": machine(), "rounds": ROUNDS, "texts": texts_measured(windows)}


def line(figures: Mapping[str, Any]) -> str:
    """Texts a second of each at its best batch size."""
    shown = ", ".join(
        f"{name} {found['best']['texts_per_second']:.0f} ({found['best']['ratio']:.2f}x)"
        for name, found in figures["variants"].items()
    )
    return f"texts/s at the best batch size, ratios: {shown}; medians of each of {figures['rounds']} rounds in turn"
