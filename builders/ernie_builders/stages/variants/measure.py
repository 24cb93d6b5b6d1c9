"""Measure speed and memory of the variants' encoders, side by side on the task's own texts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ernie_runtime.json_types import JsonObject
from ernie_runtime.kinds import get_kind
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ...compression.measure import ROUNDS, TEXTS, Built, machine, measure, texts_measured
from ...compression.other_load import BUSY
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
    measured = measure(built, windows, folder, ROUNDS)
    speeds = {name: asdict(figures) for name, figures in measured.variants.items()}
    (folder / "windows.npz").unlink()
    about = {**machine(), "other_load": measured.other_load}
    return Measured(variants=speeds, machine=about, rounds=ROUNDS, texts=texts_measured(windows))


def line(result: Measured) -> str:
    """Texts per second of each variant at its best batch size."""
    shown = ", ".join(
        f"{name} {speed['best']['texts_per_second']:.0f} ({speed['best']['ratio']:.2f}x)"
        for name, speed in result.variants.items()
    )
    busy = (result.machine.get("other_load") or 0.0) > BUSY
    doubt = (
        f"; the machine was too busy to measure: {100 * result.machine['other_load']:.0f}% of it with other programs"
    )
    return (
        f"texts/s at the best batch size, ratios: {shown}; medians of each of {result.rounds} rounds in turn"
        f"{doubt if busy else ''}"
    )


STAGE = Stage(name="measure", result_type=Measured, inputs=inputs, run=run, line=line, uses=code.VARIANTS)
