"""Convert: the exported FP32 graph in the precision, and for the engine, that a variant's recipe names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from ernie_runtime.engines import load_engine
from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.tokenization import ErnieTokenizer
from ernie_runtime.windows import Window

from ..compress import vocabulary
from ..compress.calibration import calibration_feeds
from ..errors import ExportError
from ..readers import Example
from . import Context, Done, code_key, sha256_of
from .data import read_split
from .export import MODEL
from .finetune import fine_tuned, manifest_of

NAME = "convert"
STANDS_FOR = "export"  # the later stages take what it leaves for the exported model
IR, IR_WEIGHTS, PRUNED = "model.xml", "model.bin", "pruned.onnx"


def inputs(context: Context, before: Mapping[str, Done]) -> dict[str, Any]:
    """The exported graph, the recipe and the text to calibrate on."""
    return {
        "export": before["export"].key,
        "recipe": vars(context.recipe),
        "compress": vars(context.task.compress),
        "data": before["data"].key,
        "seed": context.seed,
        "code": code_key(),
    }


def run(context: Context, before: Mapping[str, Done], folder: Path) -> dict[str, Any]:
    """Write the variant's files and its tokenizer.json; figures as those of the export, with what is the variant's."""
    exported, recipe = before["export"], context.recipe
    tokenizer = ErnieTokenizer.from_file(exported.folder / "tokenizer.json")
    tokenizer.save(folder / "tokenizer.json")
    made: dict[str, Any] = {"precision": recipe.precision}
    feeds = []
    if recipe.precision in ("int8",):
        manifest = manifest_of(context, before["fine-tune"], tokenizer)
        feeds = calibration_feeds(manifest, tokenizer, read_split(before["data"], "train"), context.seed)
        made |= {"calibration": context.task.compress.calibration, "windows": len(feeds)}
    source = exported.folder / MODEL
    if recipe.vocabulary:
        source, pruned = _pruned_vocabulary(context, before, tokenizer, folder)
        made |= pruned
    make = _openvino if recipe.engine == "openvino" else _onnx
    file = make(context, source, folder, feeds)
    (folder / PRUNED).unlink(missing_ok=True)
    load_engine(recipe.engine, file, recipe.settings)  # a graph that no engine takes is told here
    weights = folder / IR_WEIGHTS if file.name == IR else None
    return {
        **{name: exported.figures[name] for name in ("max_abs_error", "texts")},
        "engine": recipe.engine,
        "file": file.name,
        "bytes": file.stat().st_size + (weights.stat().st_size if weights else 0),
        "sha256": sha256_of(file),
        "weights": weights.name if weights else "",
        "weights_sha256": sha256_of(weights) if weights else "",
        "settings": recipe.settings,
        "made": made,
        "smaller": 1 - file.stat().st_size / exported.figures["bytes"],
    }


def line(figures: Mapping[str, Any]) -> str:
    """Engine and size."""
    return f"{figures['file']} for {figures['engine']}, {figures['bytes'] / 1e6:.1f} MB"


def _pruned_vocabulary(
    context: Context, before: Mapping[str, Done], tokenizer: ErnieTokenizer, folder: Path
) -> tuple[Path, dict[str, Any]]:
    """The exported graph with fewer words and positions; what that costs in unknown words on dev."""
    manifest = manifest_of(context, before["fine-tune"], tokenizer)
    train, dev = (cut(manifest, tokenizer, read_split(before["data"], split)) for split in ("train", "dev"))
    weights = fine_tuned(before["fine-tune"]).weights
    found = vocabulary.counts(train, len(weights["ernie.embeddings.word_embeddings.weight"]))
    kept = vocabulary.kept_entries(found, tokenizer, context.recipe.vocabulary)
    model = onnx.load(str(before["export"].folder / MODEL))
    limit = manifest.limits.max_length
    vocabulary.prune(model, kept, tokenizer.unk_id, limit, len(weights["ernie.embeddings.position_embeddings.weight"]))
    onnx.save(model, str(folder / PRUNED))
    rates = vocabulary.unknown_rate(dev, kept, tokenizer)
    return folder / PRUNED, {
        "vocabulary": len(kept),
        "positions": limit,
        "unknown_percent": [round(rate, 3) for rate in rates],
    }


def cut(manifest: Manifest, tokenizer: ErnieTokenizer, examples: Sequence[Example]) -> list[Window]:
    """The windows of all examples."""
    kind, windows = get_kind(manifest.kind), []
    for start in range(0, len(examples), 1000):
        windows += kind.documents([e.texts for e in examples[start : start + 1000]], tokenizer, manifest)[1]
    return windows


def _openvino(context: Context, source: Path, folder: Path, feeds: list[Any]) -> Path:
    from ..compress import openvino_ir as ir

    recipe, settings = context.recipe, context.task.compress
    model = ir.read_model(source)
    if feeds:
        model = ir.quantize(model, feeds, settings.calibration)
    elif recipe.embeddings:
        model = ir.compress_weights(model)
    ir.save(model, folder / IR)
    return folder / IR


def _onnx(context: Context, source: Path, folder: Path, feeds: list[Any]) -> Path:
    from ..compress import onnx_int8

    recipe, settings, target = context.recipe, context.task.compress, folder / MODEL
    if recipe.precision == "dynamic8":
        onnx_int8.quantize_dynamic(source, target)
    elif recipe.precision == "int8":
        onnx_int8.quantize_static(source, target, feeds, settings.calibration)
    elif recipe.precision == "fp32":
        target.write_bytes(source.read_bytes())
    else:
        raise ExportError(f"variant {recipe.name}: {recipe.precision} is not made for {recipe.engine}")
    if recipe.embeddings:
        model = onnx.load(str(target))
        onnx_int8.quantize_tables(model)
        onnx.save(model, str(target))
    return target
