"""Convert: the exported FP32 graph in the precision, and for the engine, that a variant's recipe names."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx

from ernie_runtime.engines import ENGINES, OUTPUTS, Engine, load_engine
from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.windows import Window

from ...compression import onnx_int8, openvino_ir, vocabulary
from ...compression.calibration import WINDOWS, Feed, calibration_feeds
from ...compression.qat import insert_ranges, learnt_ranges
from ...compression.sensitivity import parts, sensitivity
from ...config.variants import Recipe
from ...filesystem import sha256_of
from ...readers import Example
from .. import code
from ..context import Context
from ..data import read_split, training_text
from ..draft import config_of, fine_tuned, manifest_of
from ..export import MODEL
from ..results import Exported
from ..stage import Finished, Stage

PRUNED = "pruned.onnx"
RANGES = "ranges.onnx"
HELD_OUT = 100  # windows that sensitivity is found on, apart from those for ranges


def inputs(context: Context, finished: Finished) -> dict[str, Any]:
    """The exported graph, the recipe and the text to calibrate on."""
    return {
        "export": finished.exported.key,
        "recipe": vars(context.recipe),
        "compress": vars(context.task.compress),
        "data": finished.data.key,
        "seed": context.seed,
    }


def run(context: Context, finished: Finished, folder: Path) -> Exported:
    """Write the variant's files and its tokenizer.json; the result stands for that of the export."""
    exported, recipe = finished.exported, context.recipe
    tokenizer = ErnieTokenizer.from_file(exported.folder / "tokenizer.json")
    tokenizer.save(folder / "tokenizer.json")
    made: dict[str, Any] = {"precision": recipe.precision}
    source = exported.folder / MODEL
    if recipe.vocabulary:
        source, pruned = _pruned_vocabulary(context, finished, tokenizer, folder)
        made |= pruned
    manifest = manifest_of(context, finished.fine_tuned, tokenizer)
    write = partial(WRITERS[recipe.engine], recipe, context.task.compress.calibration)
    feeds, ignored = list[Feed](), list[str]()
    if recipe.precision == "int8":
        train = read_split(finished.data, "train")
        feeds = calibration_feeds(
            manifest, tokenizer, train, context.seed, WINDOWS + (HELD_OUT if recipe.floats else 0)
        )
        held_out = [feeds.pop() for _ in range(min(HELD_OUT, len(feeds) // 4) if recipe.floats else 0)] or feeds
        made |= {"calibration": context.task.compress.calibration, "windows": len(feeds), "training_text": bool(train)}
    if recipe.floats:
        ignored, told = _most_sensitive(context, finished, source, folder, partial(write, source, feeds), held_out)
        made |= told
    if recipe.precision == "qat8":
        source = _with_ranges(finished, source, folder)
    file = write(source, feeds, folder, ignored)
    (folder / RANGES).unlink(missing_ok=True)
    (folder / PRUNED).unlink(missing_ok=True)
    settings, engine = recipe.settings, ENGINES[recipe.engine]
    if engine.needs_output_names:
        specs = get_kind(context.task.kind).encoder_outputs(manifest)
        settings |= {OUTPUTS: ",".join(spec.name for spec in specs)}
    load_engine(recipe.engine, file, settings)  # a graph that no engine takes is told here
    weights = next((folder / name for name in engine.files[1:]), None)
    return Exported(
        max_abs_error=exported.result.max_abs_error,
        texts=exported.result.texts,
        engine=recipe.engine,
        file=file.name,
        bytes=file.stat().st_size + (weights.stat().st_size if weights else 0),
        sha256=sha256_of(file),
        weights=weights.name if weights else "",
        weights_sha256=sha256_of(weights) if weights else "",
        settings=settings,
        made=made,
    )


def line(result: Exported) -> str:
    """Engine and size; ranges that are hardly known."""
    made = result.made
    told = f"{result.file} for {result.engine}, {result.bytes / 1e6:.1f} MB"
    if made.get("training_text", True):
        return told
    return f"{told}, ranges from {made['windows']} windows of its examples alone: give --data-dir with training text"


STAGE = Stage(name="convert", result_type=Exported, inputs=inputs, run=run, line=line, uses=code.VARIANTS)


def _pruned_vocabulary(
    context: Context, finished: Finished, tokenizer: ErnieTokenizer, folder: Path
) -> tuple[Path, dict[str, Any]]:
    """The exported graph with fewer words and positions, what that costs in unknown words on dev; or with more rows."""
    model, size = onnx.load(str(finished.exported.folder / MODEL)), context.recipe.vocabulary
    if size > tokenizer.vocab_size:
        vocabulary.pad(model, size)
        onnx.save(model, str(folder / PRUNED))
        return folder / PRUNED, {"vocabulary": size, "padded": True}
    manifest = manifest_of(context, finished.fine_tuned, tokenizer)
    train = cut(manifest, tokenizer, training_text(context, finished))
    dev = cut(manifest, tokenizer, read_split(finished.data, "dev"))
    weights = fine_tuned(finished.fine_tuned).weights
    found = vocabulary.counts(train, len(weights["ernie.embeddings.word_embeddings.weight"]))
    kept = vocabulary.kept_entries(found, tokenizer, size, context.task.compress.min_count)
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


def _with_ranges(finished: Finished, source: Path, folder: Path) -> Path:
    """The graph with the ranges that training learnt around the encoder's products."""
    model = onnx.load(str(source))
    learnt = learnt_ranges(fine_tuned(finished.fine_tuned).weights)
    insert_ranges(model, dict(zip(onnx_int8.products(source), learnt, strict=False)))  # heads stay in float
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / RANGES))
    return folder / RANGES


def _most_sensitive(
    context: Context, finished: Finished, source: Path, folder: Path, write: Any, feeds: list[Feed]
) -> tuple[list[str], dict[str, Any]]:
    """Nodes of the parts that lose most in 8 bits; the errors of all."""
    recipe = context.recipe
    layers = config_of(finished.fine_tuned).num_hidden_layers
    if recipe.engine == "openvino":
        names = openvino_ir.products(openvino_ir.read_model(source))
    else:
        names = onnx_int8.products(source)
    found = parts(names, layers)

    def quantized(ignored: Sequence[str]) -> Engine:
        with TemporaryDirectory(dir=folder) as scratch:
            return load_engine(recipe.engine, write(Path(scratch), ignored), recipe.settings)

    errors = sensitivity(found, quantized, load_engine("onnxruntime", source), feeds)
    kept = list(errors)[: recipe.floats]
    return [node for name in kept for node in found[name]], {
        "kept_float": kept,
        "sensitivity": {name: float(f"{error:.3g}") for name, error in errors.items()},
    }


def _openvino(
    recipe: Recipe, calibration: str, source: Path, feeds: list[Feed], folder: Path, ignored: Sequence[str]
) -> Path:
    model = openvino_ir.read_model(source)
    if feeds:
        model = openvino_ir.quantize(model, feeds, calibration, ignored)
    elif recipe.embeddings:
        model = openvino_ir.compress_weights(model)
    target = folder / ENGINES["openvino"].file
    openvino_ir.save(model, target)
    return target


def _onnx(
    recipe: Recipe, calibration: str, source: Path, feeds: list[Feed], folder: Path, ignored: Sequence[str]
) -> Path:
    target = folder / MODEL
    if recipe.precision == "dynamic8":
        onnx_int8.quantize_dynamic(source, target)
    elif recipe.precision == "int8":
        onnx_int8.quantize_static(source, target, feeds, calibration, ignored)
    else:
        shutil.copyfile(source, target)
    if recipe.embeddings:
        model = onnx.load(str(target))
        onnx_int8.quantize_tables(model)
        onnx.save(model, str(target))
    return target


def _paddle(
    recipe: Recipe, calibration: str, source: Path, feeds: list[Feed], folder: Path, ignored: Sequence[str]
) -> Path:
    """The static graph that the export left beside model.onnx."""
    del recipe, calibration, feeds, ignored
    for path in (source.parent / "paddle").iterdir():
        shutil.copyfile(path, folder / path.name)
    return folder / ENGINES["paddle"].file


WRITERS = {"onnxruntime": _onnx, "openvino": _openvino, "paddle": _paddle}
