"""Packed graphs: rows of different lengths in one batch get the answers that each row gets alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from ernie_builders.modeling.packed_graph import LENGTHS, MICRO_ROWS, packed
from ernie_runtime.engines import load_engine

from ..places import Place


@pytest.fixture
def source(finished: Place) -> Path:
    return finished.stage("export") / "model.onnx"


def test_rows_of_all_lengths(source: Path) -> None:
    """More rows than a micro-batch, in no order of length, some padded by their request."""
    session = onnxruntime.InferenceSession(packed(onnx.load(str(source))).SerializeToString())
    generator, engine = np.random.default_rng(0), load_engine("onnxruntime", source)
    real = [9, 2, 30, 1, 5, 5, 17, 3, 12, 30, 4][: MICRO_ROWS + 3]
    sent = [length + extra for length, extra in zip(real, (0, 3, 0, 1, 0, 7, 0, 0, 2, 0, 0), strict=True)]
    rows = [np.pad(generator.integers(5, 60, n), (0, length - n)) for n, length in zip(real, sent, strict=True)]
    for count in (1, MICRO_ROWS, len(rows)):
        ids = np.concatenate(rows[:count])
        tensors = {
            "input_ids": ids,
            "token_type_ids": np.zeros_like(ids),
            LENGTHS: np.array(sent[:count], np.int32)[:, None],
        }
        (logits,) = session.run(None, tensors)
        assert len(logits) == count
        for row, got in zip(rows, logits, strict=False):
            alone = row[None, : np.count_nonzero(row)]
            (expected,) = engine({"input_ids": alone, "token_type_ids": np.zeros_like(alone)})["logits"]
            np.testing.assert_allclose(got, expected, atol=1e-5)


def test_what_triton_asks_of_a_ragged_input(source: Path) -> None:
    """Its backend of ONNX Runtime refuses one that has not one dimension of any size."""
    graph = packed(onnx.load(str(source))).graph
    dims = {value.name: value.type.tensor_type.shape.dim for value in graph.input}
    assert list(dims) == ["input_ids", "token_type_ids", LENGTHS]
    assert all(len(dims[name]) == 1 and not dims[name][0].dim_value for name in ("input_ids", "token_type_ids"))
    assert [value.name for value in graph.output] == ["logits"]


def test_the_stand_in_runs_it(source: Path, tmp_path: Path) -> None:
    onnx.save(packed(onnx.load(str(source))), str(tmp_path / "packed.onnx"))
    ids = np.array([[7, 8, 9, 0], [10, 11, 12, 13]])
    tensors = {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}
    (expected,), (got,) = (
        load_engine("onnxruntime", file)(tensors).values() for file in (source, tmp_path / "packed.onnx")
    )
    np.testing.assert_allclose(got, expected, atol=1e-5)
