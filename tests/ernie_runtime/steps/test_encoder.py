"""The encoder's step refuses what an engine would fail at or answer nonsense to; its neighbours are answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ernie_runtime.errors import InvalidItem
from ernie_runtime.steps.batching import Batching
from ernie_runtime.steps.encoder import EncoderStep


def sums(feed: Any) -> dict[str, np.ndarray]:
    """An engine: float32 [B, 1], of ids and types."""
    return {"logits": (feed["input_ids"] + feed["token_type_ids"]).sum(1, keepdims=True).astype(np.float32)}


def request(ids: list[list[int]], types: list[list[int]] | None = None) -> dict[str, np.ndarray]:
    array = np.array(ids)
    return {"input_ids": array, "token_type_ids": np.zeros_like(array) if types is None else np.array(types)}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (request([[1, 2, 3]], [[0, 0]]), "input_ids is [1, 3], token_type_ids [1, 2]; they must be alike"),
        (request([[1, 2]], [[0, 0, 0, 0]]), "input_ids is [1, 2], token_type_ids [1, 4]; they must be alike"),
        (request([[1, -5]]), "ids are from 0 to 99, types from 0"),
        (request([[1, 100]]), "ids are from 0 to 99, types from 0"),
        (request([[1, 2]], [[0, -1]]), "ids are from 0 to 99, types from 0"),
        (request([[1] * 9]), "input_ids has 9 tokens a row; at most 8"),
    ],
)
def test_wrong_tensors(wrong: dict[str, np.ndarray], says: str) -> None:
    step = EncoderStep(sums, [], Batching(token_budget=64, max_rows=4), max_length=8, vocabulary_size=100)
    first, fault, last = step.run([request([[1, 99, 2], [5, 0, 0]]), wrong, request([[7] * 8])])
    assert isinstance(fault, InvalidItem) and str(fault) == says
    assert not isinstance(first, InvalidItem) and first["logits"].tolist() == [[102], [5]]
    assert not isinstance(last, InvalidItem) and last["logits"].tolist() == [[56]]
    (single,) = step.run([wrong])
    assert isinstance(single, InvalidItem)
