"""Export to ONNX with our tensor names, and prove on real texts that it says what Paddle says."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ernie_runtime.batching import run_rows
from ernie_runtime.engines.ort import OrtEngine
from ernie_runtime.kinds import get_kind
from ernie_runtime.tokenization import ErnieTokenizer

from ..draft import draft_manifest
from ..errors import ExportError
from ..framework import import_paddle
from ..kinds import get_builder_kind
from ..models import PaddleEngine, build_model
from . import Context, Done, sha256_of
from .data import read_split
from .finetune import fine_tuned

NAME = "export"
MODEL = "model.onnx"
INPUTS = ("input_ids", "token_type_ids")
TOLERANCE = 1e-3  # largest difference of a logit, Paddle against ONNX Runtime, float32
CHECK_TEXTS = 128
OPSET = 17


def inputs(context: Context, before: Mapping[str, Done]) -> dict[str, Any]:
    """The fine-tuned checkpoint; the texts it is checked on."""
    return {
        "checkpoint": before["fine-tune"].key,
        "data": before["data"].key,
        "labels": len(context.task.labels),
        "kind": context.task.kind,
        "opset": OPSET,
        "examples": context.task.examples,
    }


def run(context: Context, before: Mapping[str, Done], folder: Path) -> dict[str, Any]:
    """Write model.onnx, paddle/ (the static graph) and tokenizer.json."""
    import_paddle("cpu")
    kind = get_builder_kind(context.task.kind)
    checkpoint = fine_tuned(before["fine-tune"])
    tokenizer = ErnieTokenizer.from_vocab(checkpoint.vocabulary)
    model = build_model(kind, checkpoint, len(context.task.labels))
    model.eval()
    names = [spec.name for spec in get_kind(context.task.kind).encoder_outputs(draft_manifest(context.task, tokenizer))]
    to_onnx(to_static(model, folder / "paddle"), folder / MODEL, names)
    tokenizer.save(folder / "tokenizer.json")
    error, texts = compare(context, before, tokenizer, PaddleEngine(model, kind), OrtEngine(folder / MODEL))
    if not error <= TOLERANCE:
        raise ExportError(
            f"task {context.task.name}: the exported graph differs from Paddle by {error:.2g} (allowed {TOLERANCE:g}); nothing was published"
        )
    return {
        "max_abs_error": float(f"{error:.3g}"),
        "texts": texts,
        "bytes": (folder / MODEL).stat().st_size,
        "sha256": sha256_of(folder / MODEL),
    }


def line(figures: Mapping[str, Any]) -> str:
    """Size and agreement."""
    return (
        f"ONNX {figures['bytes'] / 1e6:.1f} MB, differs from Paddle by at most {figures['max_abs_error']:.1e} "
        f"on {figures['texts']} texts"
    )


def to_static(model: Any, folder: Path) -> Path:
    """Save Paddle's static graph (model.json, model.pdiparams) with dynamic batch and length; the .json's path."""
    import paddle

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    specs = [paddle.static.InputSpec([None, None], "int64", name) for name in INPUTS]
    with _quiet():
        # A copy: to_static changes the layer it is given.
        static = paddle.jit.to_static(_NamedInputs(copy.deepcopy(model)).layer, input_spec=specs, full_graph=True)
        paddle.jit.save(static, str(folder / "model"))
    return folder / "model.json"


def to_onnx(graph: Path, target: Path, output_names: list[str]) -> None:
    """Convert a static graph; inputs and outputs get the contract's names."""
    import onnx
    import paddle2onnx

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
    model = onnx.load(str(target))
    if len(model.graph.output) != len(output_names) or len(model.graph.input) != len(INPUTS):
        raise ExportError(
            f"{target}: expected {len(INPUTS)} inputs and {len(output_names)} outputs, "
            f"the graph has {len(model.graph.input)} and {len(model.graph.output)}"
        )
    rename_tensors(model, {old.name: new for old, new in zip(model.graph.input, INPUTS, strict=True)})
    rename_tensors(model, {old.name: new for old, new in zip(model.graph.output, output_names, strict=True)})
    for values, kind in ((model.graph.input, "batch length"), (model.graph.output, "batch")):
        for value in values:
            dims = value.type.tensor_type.shape.dim
            for dim, name in zip(dims, ["batch", "length"][: len(kind.split())] if len(dims) < 3 else ["batch", "length"], strict=False):
                dim.ClearField("dim_value")
                dim.dim_param = name
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


def rename_tensors(model: Any, names: Mapping[str, str]) -> None:
    """Rename tensors of an ONNX graph everywhere they are produced or used."""
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def compare(
    context: Context, before: Mapping[str, Done], tokenizer: ErnieTokenizer, reference: Any, exported: Any
) -> tuple[float, int]:
    """Largest absolute difference of any output on real texts of mixed length, at real tokens; texts compared."""
    kind = get_kind(context.task.kind)
    items = [e.texts for e in read_split(before["data"], "dev")[:CHECK_TEXTS]] or list(context.task.examples)
    if not items:
        raise ExportError(f"task {context.task.name}: no texts to check the export on; give `examples` in the tasks file")
    _, windows = kind.documents(items, tokenizer, context.task.limits)
    rows = [([w.input_ids for w in windows], [w.token_type_ids for w in windows])]
    worst = 0.0
    for ids, types in rows:
        ours, theirs = (run_rows(engine, ids, types, token_budget=1024) for engine in (exported, reference))
        for window, a, b in zip(windows, ours, theirs, strict=True):
            for name in a:
                length = len(window.offsets) if kind.per_token else len(a[name])
                worst = max(worst, float(np.abs(a[name][:length] - b[name][:length]).max()))
    return worst, len(items)


class _NamedInputs:
    """Holds a layer whose forward takes exactly the contract's inputs, in order."""

    def __init__(self, layer: Any) -> None:
        forward = layer.forward
        layer.forward = lambda input_ids, token_type_ids: forward(input_ids, token_type_ids=token_type_ids)
        self.layer = layer


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Paddle's exporters write to file descriptor 1 and 2 from C++; keep that out of the builder's lines."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        saved = [os.dup(fd) for fd in (1, 2)]
        try:
            for fd in (1, 2):
                os.dup2(nowhere.fileno(), fd)
            yield
        finally:
            for fd, copy_of in zip((1, 2), saved, strict=True):
                os.dup2(copy_of, fd)
                os.close(copy_of)
