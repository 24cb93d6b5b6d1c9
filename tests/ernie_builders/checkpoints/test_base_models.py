"""`--base-model shipped:TASK`: the encoder of a checkpoint that ships."""

from __future__ import annotations

import pytest

from ernie_builders.checkpoints.base_models import folder_of, is_download
from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.config.tasks import ASSETS
from ernie_builders.errors import CheckpointError
from ernie_builders.modeling.model import find_base_model


def test_the_encoder_without_head_and_labels() -> None:
    encoder = find_base_model("shipped:tnews")
    checkpoint = read_checkpoint(ASSETS / "checkpoints" / "tnews")
    assert not encoder.has_head
    assert encoder.name == "shipped:tnews"
    assert checkpoint.config.id2label is not None and encoder.config == checkpoint.config.without_task()
    assert {name for name in checkpoint.weights if name.startswith("ernie.")} == set(encoder.weights)
    assert folder_of("shipped:tnews") == ASSETS / "checkpoints" / "tnews"
    assert not is_download("shipped:tnews")


def test_a_checkpoint_that_does_not_ship() -> None:
    with pytest.raises(CheckpointError, match=r"shipped:poems: no such checkpoint ships; there are .*tnews"):
        find_base_model("shipped:poems")
