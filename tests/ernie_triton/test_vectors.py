"""Prefixes and shorter vectors, as the client applies them; rows that fill a request up are cut off."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from ernie_triton import ErnieTritonError, Task, UnknownTask
from ernie_triton.replies import Reply
from ernie_triton.tasks import Ensemble, group_tasks
from ernie_triton.vectors import shortener
from ernie_triton.wire import ModelRequest, Tensor, pack_texts, read_replies


def task_of(kind: str) -> Task:
    manifest: dict[str, Any] = {
        "task": "vector",
        "kind": kind,
        "title": "",
        "version": 1,
        "labels": [],
        "variants": [{"name": "fp32", "evaluations": []}],
        "main_metric": "spearman",
        "options": {"dimension": 4, "prefixes": {"query": "q: ", "passage": "p: "}, "prefix": "query"},
    }
    inputs = ("TEXT",)
    (task,) = group_tasks(
        [Ensemble(name="vector", inputs=inputs, max_batch_size=8, manifest=json.dumps(manifest), variant="fp32")]
    )
    return task


def test_the_prefix_of_a_name() -> None:
    task = task_of("embedding")
    put: Any = task.with_prefix("passage")
    assert [put("a"), put("q: a"), put("p: a"), put("")] == ["p: a", "q: a", "p: a", "p: "]
    assert put(("a", "q: b")) == ("p: a", "q: b")
    assert put(None) is None and put(("a", 3)) == ("p: a", 3)  # refused later, as what they are
    assert task.with_prefix(None)("a") == "a"
    with pytest.raises(UnknownTask, match="task vector has no prefix 'pasage'; it has query, passage; did you mean p"):
        task.with_prefix("pasage")


def test_vectors_are_cut_and_scaled() -> None:
    shorten = shortener(task_of("embedding"), 2)
    reply = shorten(Reply({"dimension": 4}, {"EMBEDDING": np.array([3, 4, 12, 84], np.float32)}))
    assert reply.raw == {"dimension": 2}
    assert reply.numeric["EMBEDDING"].tolist() == pytest.approx([0.6, 0.8])
    assert reply.numeric["EMBEDDING"].dtype == np.float32
    zero = shorten(Reply({}, {"EMBEDDING": np.zeros(4, np.float32)}))
    assert zero.numeric["EMBEDDING"].tolist() == [0, 0]
    rows = shortener(task_of("token_embedding"), 1)(
        Reply({}, {"EMBEDDINGS": np.array([[2.0, 1], [-3, 9]], np.float32)})
    )
    assert rows.numeric["EMBEDDINGS"].tolist() == [[1], [-1]]


@pytest.mark.parametrize(
    ("kind", "dimensions", "why"),
    [
        ("embedding", 0, "gives vectors of 4 numbers; 0 is not 1 to 4"),
        ("embedding", 5, "gives vectors of 4 numbers; 5 is not 1 to 4"),
        ("similarity", 2, "gives no vectors, so it has no dimensions to cut"),
    ],
)
def test_what_cannot_be_cut(kind: str, dimensions: int, why: str) -> None:
    with pytest.raises(ErnieTritonError, match=why):
        shortener(task_of(kind), dimensions)


def test_rows_beyond_a_text_are_cut_off() -> None:
    raws = [{"offsets": [[0, 1], [1, 2]]}, {"offsets": [[0, 1]]}, {"error": {}}]
    texts = pack_texts(json.dumps(raw).encode() for raw in raws)
    outputs = {
        "RESULT": Tensor(datatype="BYTES", shape=(3, 1), data=texts),
        "EMBEDDINGS": Tensor(datatype="FP32", shape=(3, 2, 4), data=np.ones((3, 2, 4), np.float32).tobytes()),
    }
    rows = [(b"a",)] * 3
    request = ModelRequest(model="vector", inputs=("TEXT",), rows=rows, numeric=("EMBEDDINGS",), timeout=1)
    replies = read_replies(request, outputs)
    assert [reply.numeric["EMBEDDINGS"].shape for reply in replies] == [(2, 4), (1, 4), (0, 4)]
