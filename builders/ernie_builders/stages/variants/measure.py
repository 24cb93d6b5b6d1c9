"""Measure speed and memory of the variants' encoders, side by side on the task's own texts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ernie_runtime.json_types import JsonObject
from ernie_runtime.kinds import get_kind
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ...compression.measure import ROUNDS, TEXTS, Built, machine, measure, texts_measured
from .. import code
from ..context import Context
from ..data import read_split
from ..draft import manifest_of
from ..results import Measured
from ..stage import Finished, Stage


def inputs(context: Context, finished: Finished) -> JsonObject:
    """The variants' models, the texts and the machine."""
    return {
        "variants": {name: finished.variant(name).exported.key for name in context.task.variants},
        "data": finished.data.key,
        "machine": machine(),
    }


def run(context: Context, finished: Finished, folder: Path) -> Measured:
    """Leave nothing but the figures."""
    exported = {name: finished.variant(name).exported for name in context.task.variants}
    tokenizer = load_tokenizer(finished.exported.folder / "tokenizer.json")
    manifest = manifest_of(context, finished.fine_tuned, tokenizer)
    items = [e.texts for e in read_split(finished.data, "dev")[:TEXTS]] or list(manifest.examples)
    _, windows = get_kind(manifest.kind).documents(items, tokenizer, manifest)
    built = {
        name: Built(
            engine=output.result.engine, file=output.folder / output.result.file, settings=output.result.settings
        )
        for name, output in exported.items()
    }
    speeds = {name: asdict(figures) for name, figures in measure(built, windows, folder).items()}
    (folder / "windows.npz").unlink()
    return Measured(variants=speeds, machine=machine(), rounds=ROUNDS, texts=texts_measured(windows))


def line(result: Measured) -> str:
    """Texts per second of each variant at its best batch size."""
    shown = ", ".join(
        f"{name} {speed['best']['texts_per_second']:.0f} ({speed['best']['ratio']:.2f}x)"
        for name, speed in result.variants.items()
    )
    return f"texts/s at the best batch size, ratios: {shown}; medians of each of {result.rounds} rounds in turn"


STAGE = Stage(name="measure", result_type=Measured, inputs=inputs, run=run, line=line, uses=code.VARIANTS)
