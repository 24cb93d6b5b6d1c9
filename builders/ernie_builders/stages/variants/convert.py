"""Convert the exported FP32 graph to the precision and the engine of a variant's recipe."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from ernie_runtime.engines import ENGINES, OUTPUTS, Engine, load_engine
from ernie_runtime.json_types import JsonObject
from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.tokenizer import Tokenizer
from ernie_runtime.text.tokenizer_file import load_tokenizer
from ernie_runtime.text.windows import Window

from ...compression import onnx_fp16, onnx_int8, openvino_ir, vocabulary
from ...compression.calibration import WINDOWS as CALIBRATION_WINDOWS
from ...compression.calibration import Feed, calibration_feeds
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
HELD_OUT = 100  # windows that sensitivity is measured on, besides those for the ranges


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What a variant's files are made from."""

    recipe: Recipe
    calibration: str  # how ranges of activations are found: see config.variants.CALIBRATIONS
    source: Path  # the FP32 graph, ONNX
    feeds: Sequence[Feed] = ()  # inputs of real texts, for the ranges; none unless the recipe is int8
    float_nodes: Sequence[str] = ()  # nodes of the graph that stay in float


def inputs(context: Context, finished: Finished) -> JsonObject:
    """The exported graph, the recipe and the text to calibrate on."""
    return {
        "export": finished.exported.key,
        "recipe": vars(context.recipe),
        "compress": vars(context.task.compress),
        "data": finished.data.key,
        "seed": context.seed,
    }


def run(context: Context, finished: Finished, folder: Path) -> Exported:
    """Write the variant's files and its tokenizer.json."""
    exported, recipe = finished.exported, context.recipe
    tokenizer = load_tokenizer(exported.folder / "tokenizer.json")
    tokenizer.save(folder / "tokenizer.json")
    made: JsonObject = {"precision": recipe.precision, **({"symmetric": True} if recipe.symmetric else {})}
    source = exported.folder / MODEL
    if recipe.vocabulary:
        source, vocabulary_made = _with_vocabulary(context, finished, tokenizer, folder)
        made |= vocabulary_made
    manifest = manifest_of(context, finished.fine_tuned, tokenizer)
    conversion = Conversion(recipe=recipe, calibration=context.task.compress.calibration, source=source)
    if recipe.precision == "int8":
        train = read_split(finished.data, "train")
        windows = CALIBRATION_WINDOWS + (HELD_OUT if recipe.floats else 0)
        feeds = calibration_feeds(manifest, tokenizer, train, context.seed, windows)
        held_out = [feeds.pop() for _ in range(min(HELD_OUT, len(feeds) // 4) if recipe.floats else 0)] or feeds
        made |= {"calibration": conversion.calibration, "windows": len(feeds), "training_text": bool(train)}
        conversion = replace(conversion, feeds=feeds)
        if recipe.floats:
            layers = config_of(finished.fine_tuned).num_hidden_layers
            float_nodes, sensitivity_made = _most_sensitive(conversion, layers, held_out, folder)
            made |= sensitivity_made
            conversion = replace(conversion, float_nodes=float_nodes)
    if recipe.precision == "qat8":
        conversion = replace(conversion, source=_with_ranges(finished, source, folder, recipe.symmetric))
    file = WRITERS[recipe.engine](conversion, folder)
    (folder / RANGES).unlink(missing_ok=True)
    (folder / PRUNED).unlink(missing_ok=True)
    settings, engine = recipe.settings, ENGINES[recipe.engine]
    if engine.needs_output_names:
        specs = get_kind(context.task.kind).encoder_outputs(manifest)
        settings |= {OUTPUTS: ",".join(spec.name for spec in specs)}
    load_engine(recipe.engine, file, settings)  # a graph that the engine refuses is reported here, not when it serves
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
    """File, engine and size; a warning if the ranges are from a few examples only."""
    made = result.made
    size = f"{result.file} for {result.engine}, {result.bytes / 1e6:.1f} MB"
    if made.get("training_text", True):
        return size
    return f"{size}, ranges from {made['windows']} windows of its examples alone: give --data-dir with training text"


STAGE = Stage(name="convert", result_type=Exported, inputs=inputs, run=run, line=line, uses=code.VARIANTS)


def _with_vocabulary(
    context: Context, finished: Finished, tokenizer: Tokenizer, folder: Path
) -> tuple[Path, JsonObject]:
    """The exported graph with the recipe's number of words, and what to say of it in the manifest.

    Pruned, it has fewer positions too, and the unknown words among dev's tokens are counted before and after; with more
    words than there are, it is padded.
    """
    model, size = onnx.load(str(finished.exported.folder / MODEL)), context.recipe.vocabulary
    if size > tokenizer.vocab_size:
        vocabulary.pad(model, size)
        onnx.save(model, str(folder / PRUNED))
        return folder / PRUNED, {"vocabulary": size, "padded": True}
    manifest = manifest_of(context, finished.fine_tuned, tokenizer)
    train = cut(manifest, tokenizer, training_text(context, finished))
    dev = cut(manifest, tokenizer, read_split(finished.data, "dev"))
    weights = fine_tuned(finished.fine_tuned).weights
    words, positions_before = (
        len(weights[f"ernie.embeddings.{table}_embeddings.weight"]) for table in ("word", "position")
    )
    counts = vocabulary.counts(train, words)
    entries = vocabulary.kept_entries(counts, tokenizer, size, context.task.compress.min_count)
    positions = manifest.limits.max_length
    vocabulary.prune(model, entries, tokenizer.unk_id, positions, positions_before)
    onnx.save(model, str(folder / PRUNED))
    rates = vocabulary.unknown_rate(dev, entries, tokenizer)
    return folder / PRUNED, {
        "vocabulary": len(entries),
        "positions": positions,
        "unknown_percent": [round(rate, 3) for rate in rates],
    }


def cut(manifest: Manifest, tokenizer: Tokenizer, examples: Sequence[Example]) -> list[Window]:
    """The windows of all examples."""
    kind, windows = get_kind(manifest.kind), []
    for start in range(0, len(examples), 1000):
        windows += kind.documents([e.texts for e in examples[start : start + 1000]], tokenizer, manifest)[1]
    return windows


def _with_ranges(finished: Finished, source: Path, folder: Path, symmetric: bool) -> Path:
    """The graph with rounding around the encoder's products, to the ranges that training learnt."""
    model = onnx.load(str(source))
    learnt = learnt_ranges(fine_tuned(finished.fine_tuned).weights)
    ranges = dict(zip(onnx_int8.products(source), learnt, strict=False))  # heads stay in float
    insert_ranges(model, ranges, symmetric)
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / RANGES))
    return folder / RANGES


def _most_sensitive(
    conversion: Conversion, layers: int, feeds: Sequence[Feed], folder: Path
) -> tuple[list[str], JsonObject]:
    """Nodes of the parts that lose most in 8 bits, and the errors of all parts; layers: of the encoder."""
    recipe, source = conversion.recipe, conversion.source
    if recipe.engine == "openvino":
        products = openvino_ir.products(openvino_ir.read_model(source))
    else:
        products = onnx_int8.products(source)
    nodes = parts(products, layers)

    def quantized(float_nodes: Sequence[str]) -> Engine:
        with TemporaryDirectory(dir=folder) as scratch:
            file = WRITERS[recipe.engine](replace(conversion, float_nodes=float_nodes), Path(scratch))
            return load_engine(recipe.engine, file, recipe.settings)

    errors = sensitivity(nodes, quantized, load_engine("onnxruntime", source), feeds)
    chosen = list(errors)[: recipe.floats]
    return [node for part in chosen for node in nodes[part]], {
        "kept_float": chosen,
        "sensitivity": {part: float(f"{error:.3g}") for part, error in errors.items()},
    }


def _openvino(conversion: Conversion, folder: Path) -> Path:
    model = openvino_ir.read_model(conversion.source)
    if conversion.feeds:
        model = openvino_ir.quantize(model, conversion.feeds, conversion.calibration, conversion.float_nodes)
    elif conversion.recipe.embeddings:
        model = openvino_ir.compress_weights(model)
    target = folder / ENGINES["openvino"].file
    openvino_ir.save(model, target)
    return target


def _onnx(conversion: Conversion, folder: Path) -> Path:
    source, target, recipe = conversion.source, folder / MODEL, conversion.recipe
    if recipe.precision == "dynamic8":
        onnx_int8.quantize_dynamic(source, target)
    elif recipe.precision == "int8":
        onnx_int8.quantize_static(
            source, target, conversion.feeds, conversion.calibration, conversion.float_nodes, recipe.symmetric
        )
    elif recipe.precision == "fp16":
        onnx_fp16.convert(source, target)
    else:
        shutil.copyfile(source, target)
    if recipe.embeddings:
        model = onnx.load(str(target))
        onnx_int8.quantize_tables(model)
        onnx.save(model, str(target))
    return target


def _paddle(conversion: Conversion, folder: Path) -> Path:
    """The static graph that the export left beside model.onnx."""
    for path in (conversion.source.parent / "paddle").iterdir():
        shutil.copyfile(path, folder / path.name)
    return folder / ENGINES["paddle"].file


WRITERS: dict[str, Callable[[Conversion, Path], Path]] = {
    "onnxruntime": _onnx,
    "openvino": _openvino,
    "paddle": _paddle,
}
"""Engine -> the function that writes a variant's files; the path of what the engine loads."""
