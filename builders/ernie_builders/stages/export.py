"""Export to ONNX with our tensor names, and check on real texts that its outputs are Paddle's."""

from __future__ import annotations

import contextlib
import copy
import errno
import io
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ernie_runtime.engines import Engine, load_engine
from ernie_runtime.engines.ort import OrtEngine
from ernie_runtime.json_types import JsonObject
from ernie_runtime.kinds import TensorSpec, get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.batching import run_rows
from ernie_runtime.text.tokenizer import Tokenizer

from ..errors import ExportError
from ..filesystem import sha256_of
from ..framework import import_paddle
from ..kinds import get_builder_kind
from ..modeling.model import PaddleEngine, build_model, say_unused
from ..modeling.onnx_graph import name_dimensions, rename_tensors, tidy
from . import code
from .context import Context
from .data import read_split
from .draft import fine_tuned, manifest_of, tokenizer_for
from .results import DataRead, Exported
from .stage import Finished, Output, Stage

if TYPE_CHECKING:
    from paddle.nn import Layer

MODEL = "model.onnx"
INPUTS = ("input_ids", "token_type_ids")
TOLERANCE = 1e-3  # largest difference of a logit, Paddle against ONNX Runtime, float32
CHECK_TEXTS = 128
OPSET = 17


def inputs(context: Context, finished: Finished) -> JsonObject:
    """The fine-tuned checkpoint and the texts that the export is checked on."""
    return {
        "checkpoint": finished.fine_tuned.key,
        "data": finished.data.key,
        "labels": len(context.task.labels),
        "options": context.task.options,
        "kind": context.task.kind,
        "opset": OPSET,
        "examples": context.task.examples,
    }


def run(context: Context, finished: Finished, folder: Path) -> Exported:
    """Write model.onnx, paddle/ (the static graph) and tokenizer.json."""
    import_paddle("cpu")
    kind = get_builder_kind(context.task.kind)
    checkpoint = fine_tuned(finished.fine_tuned)
    if context.ready:
        checkpoint = replace(checkpoint, where=context.source.where)  # messages name the user's directory
    tokenizer = tokenizer_for(context.task, checkpoint.tokenizer)
    served = get_kind(context.task.kind)
    manifest = manifest_of(context, finished.fine_tuned, tokenizer)
    model = build_model(kind, checkpoint, manifest, ready=True)
    say_unused(model, checkpoint)
    model.eval()
    outputs = served.encoder_outputs(manifest)
    to_onnx(to_static(model, folder / "paddle"), folder / MODEL, outputs)
    tokenizer.save(folder / "tokenizer.json")
    error, texts = compare(manifest, finished.data, tokenizer, PaddleEngine(model, kind), OrtEngine(folder / MODEL))
    if not error <= TOLERANCE:
        raise ExportError(
            f"task {context.task.name}: the exported graph differs from Paddle by {error:.2g} "
            f"(allowed {TOLERANCE:g}); nothing was published"
        )
    return Exported(
        max_abs_error=float(f"{error:.3g}"),
        texts=texts,
        engine="onnxruntime",
        file=MODEL,
        bytes=(folder / MODEL).stat().st_size,
        sha256=sha256_of(folder / MODEL),
    )


def engine_of(exported: Output[Exported]) -> Engine:
    """The engine of an exported or converted model, loaded."""
    result = exported.result
    return load_engine(result.engine, exported.folder / result.file, result.settings)


def line(result: Exported) -> str:
    """Size and agreement."""
    return (
        f"ONNX {result.bytes / 1e6:.1f} MB, differs from Paddle by at most {result.max_abs_error:.1e} "
        f"on {result.texts} texts"
    )


STAGE = Stage(name="export", result_type=Exported, inputs=inputs, run=run, line=line, uses=code.MODEL)


def to_static(model: Layer, folder: Path) -> Path:
    """Save Paddle's static graph (model.json, model.pdiparams) with dynamic batch and length; the .json's path.

    The last layer is computed for the first token alone where the head reads no other.
    """
    import paddle

    from ..modeling.first_token import trim

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    specs = [paddle.static.InputSpec([None, None], "int64", name) for name in INPUTS]
    with _quiet():
        # A copy: both change the layer they are given.
        static = paddle.jit.to_static(trim(copy.deepcopy(model)), input_spec=specs, full_graph=True)
        paddle.jit.save(static, str(folder / "model"))
    try:
        json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except ValueError:  # Paddle does not look whether the disk took what it wrote
        raise OSError(errno.ENOSPC, "written only in part", str(folder / "model.json")) from None
    return folder / "model.json"


def to_onnx(graph: Path, target: Path, outputs: Sequence[TensorSpec]) -> None:
    """Convert a static graph; inputs and outputs get the contract's names."""
    import onnx
    import paddle2onnx

    try:
        with _quiet():
            paddle2onnx.export(
                str(graph),
                str(graph.with_suffix(".pdiparams")),
                save_file=str(target),
                opset_version=OPSET,
                auto_upgrade_opset=False,
                verbose=False,
                enable_onnx_checker=True,
                optimize_tool="None",
            )
    except SystemExit as error:  # its way to say that a conversion failed
        reason = str(error.__context__ or error).strip().splitlines()[0]
        raise ExportError(f"{graph}: paddle2onnx cannot convert it ({reason})") from None
    model = onnx.load(str(target))
    if len(model.graph.output) != len(outputs) or len(model.graph.input) != len(INPUTS):
        raise ExportError(
            f"{target}: expected {len(INPUTS)} inputs and {len(outputs)} outputs, "
            f"the graph has {len(model.graph.input)} and {len(model.graph.output)}"
        )
    model = tidy(model)
    rename_tensors(model, {old.name: new for old, new in zip(model.graph.input, INPUTS, strict=True)})
    rename_tensors(model, {old.name: spec.name for old, spec in zip(model.graph.output, outputs, strict=True)})
    name_dimensions(model.graph.input, ("batch", "length"))
    for value, spec in zip(model.graph.output, outputs, strict=True):
        name_dimensions([value], ("batch", "length") if -1 in spec.dims else ("batch",))
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


def compare(
    manifest: Manifest, data: Output[DataRead], tokenizer: Tokenizer, reference: Engine, exported: Engine
) -> tuple[float, int]:
    """Largest absolute difference of any FP32 output on real texts of mixed length, at real tokens; texts compared."""
    kind = get_kind(manifest.kind)
    items = [e.texts for e in read_split(data, "dev")[:CHECK_TEXTS]] or list(manifest.examples)
    if not items:
        raise ExportError(f"task {manifest.task}: no texts to check the export on; give `examples` in the tasks file")
    _, windows = kind.documents(items, tokenizer, manifest)
    ids, types = [w.input_ids for w in windows], [w.token_type_ids for w in windows]
    ours, theirs = (run_rows(engine, ids, types) for engine in (exported, reference))
    differences = []
    specs = [spec for spec in kind.encoder_outputs(manifest) if spec.dtype == "FP32"]  # ids may differ where values tie
    for window, a, b in zip(windows, ours, theirs, strict=True):
        for spec in specs:
            length = len(window.offsets) if spec.per_token else None
            differences.append(np.abs(a[spec.name][:length] - b[spec.name][:length]).max())
    return float(np.max(differences)), len(items)  # np.max: one NaN makes it NaN


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Paddle's exporters write to file descriptor 1 and 2 from C++; keep that out of the builder's lines."""
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        saved = [os.dup(descriptor) for descriptor in (1, 2)]
        try:
            for fd in (1, 2):
                os.dup2(nowhere.fileno(), fd)
            yield
        finally:
            for fd, copy_of in zip((1, 2), saved, strict=True):
                os.dup2(copy_of, fd)
                os.close(copy_of)
