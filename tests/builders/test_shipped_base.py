"""`--base-model shipped:TASK`: the encoder of a checkpoint that ships."""

from __future__ import annotations

import pytest

from builders.base_models import folder_of, is_download
from builders.config import ASSETS
from builders.errors import CheckpointError
from builders.models import TASK_OPTIONS, find_base_model
from builders.weights import read_checkpoint


def test_the_encoder_without_head_and_labels() -> None:
    found = find_base_model("shipped:tnews")
    whole = read_checkpoint(ASSETS / "checkpoints" / "tnews")
    assert not found.has_head
    assert found.name == "shipped:tnews"
    assert not {"id2label", TASK_OPTIONS} & found.config.keys()
    assert {name for name in whole.weights if name.startswith("ernie.")} == set(found.weights)
    assert folder_of("shipped:tnews") == ASSETS / "checkpoints" / "tnews"
    assert not is_download("shipped:tnews")


def test_one_that_does_not_ship() -> None:
    with pytest.raises(CheckpointError, match=r"shipped:poems: no such checkpoint ships; there are .*tnews"):
        find_base_model("shipped:poems")
