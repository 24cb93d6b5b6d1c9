"""Packed graphs against the graphs that they are made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from ernie_builders.modeling.packed_graph import LENGTHS, packed
from ernie_runtime.engines import load_engine
from ernie_runtime.names import encoder_model
from ernie_runtime.repository import newest_version
from ernie_runtime.steps.pipeline import Pipeline


def check_packed(repository: Path, task: str, items: Sequence[tuple[str, ...]]) -> None:
    """All windows of the items in one batch of a packed graph, each with its own length, against each of them alone."""
    pipeline = Pipeline.load(repository, task)
    windows = pipeline.kind.documents(items, pipeline.tokenizer, pipeline.manifest)[1]
    variant = pipeline.manifest.variant(pipeline.manifest.recommended)
    folder = newest_version(repository / encoder_model(task, variant.name))
    session = onnxruntime.InferenceSession(packed(onnx.load(str(folder / variant.file))).SerializeToString())
    outputs = session.run(
        None,
        {
            "input_ids": np.concatenate([window.input_ids for window in windows]),
            "token_type_ids": np.concatenate([window.token_type_ids for window in windows]),
            LENGTHS: np.array([[len(window.input_ids)] for window in windows], np.int32),
        },
    )
    engine = load_engine(variant.engine, folder / variant.file)
    for row, window in enumerate(windows):
        alone = engine({"input_ids": window.input_ids[None], "token_type_ids": window.token_type_ids[None]})
        for spec, output in zip(pipeline.kind.encoder_outputs(pipeline.manifest), outputs, strict=True):
            got = output[row][: len(window.input_ids)] if spec.per_token else output[row]
            np.testing.assert_allclose(got, alone[spec.name][0], atol=1e-4)
