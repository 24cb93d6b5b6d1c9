"""Embeddings are evaluated on pairs of texts: unpaired examples are refused, not paired with their neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from ernie_builders.errors import ConfigError
from ernie_builders.kinds import get_builder_kind
from ernie_builders.readers import Example
from ernie_runtime.kinds import Answer

from ..tiny import manifest_with


@pytest.mark.parametrize(("rows", "good"), [((1, 1, 2, 2), True), ((1, 2, 3, 4), False), ((1, 1, 2), False)])
def test_the_two_texts_of_a_pair_come_from_one_row(rows: tuple[int, ...], good: bool) -> None:
    kind, manifest = get_builder_kind("embedding"), manifest_with(0, "embedding", options={"dimension": 2})
    examples = [Example(("好",), row, row) for row in rows]
    answers: list[Answer | str] = [Answer({}, {"EMBEDDING": np.array([3, 4], np.float32)}) for row in rows]
    if good:
        # Both pairs are of equal vectors.
        assert kind.score(examples, answers, manifest) == {"spearman": 0, "pearson": 0}
        return
    with pytest.raises(ConfigError, match=r"evaluated on pairs: set data\.format to pair_texts"):
        kind.score(examples, answers, manifest)
