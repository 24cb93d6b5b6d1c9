"""Width and depth pruning: what is cut, what stays, and that the pruned model computes the right outputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import Checkpoint, read_checkpoint
from ernie_builders.checkpoints.weight_formats import Weights
from ernie_builders.errors import ConfigError
from ernie_builders.kinds import get_builder_kind
from ernie_builders.modeling.model import PaddleEngine, build_model
from ernie_builders.modeling.width import (
    Importance,
    check_width,
    heads_of,
    layer_count,
    layers_kept,
    narrowed,
    shallower,
)

from ..tiny import CONFIG, manifest_with, random_hugging_face, write_hugging_face

HEAD = CONFIG["hidden_size"] // CONFIG["num_attention_heads"]
HEADS, INNER, LAYERS = CONFIG["num_attention_heads"], CONFIG["intermediate_size"], CONFIG["num_hidden_layers"]


@pytest.fixture
def checkpoint(tmp_path: Path, vocabulary: Path) -> Checkpoint:
    return read_checkpoint(write_hugging_face(tmp_path / "model", random_hugging_face(), CONFIG, vocabulary))


def logits(checkpoint: Checkpoint, weights: Weights) -> np.ndarray:
    kind = get_builder_kind("sequence_classification")
    model = build_model(kind, replace(checkpoint, weights=weights), manifest_with(3))
    model.eval()
    ids = np.arange(1, 25, dtype=np.int64).reshape(2, 12)
    return PaddleEngine(model, kind)({"input_ids": ids, "token_type_ids": np.zeros_like(ids)})["logits"]


def importance(least_head: int, least_neurons: int) -> Importance:
    """Equal everywhere but for one head and the first neurons, which do not matter at all."""
    heads, neurons = np.ones(HEADS), np.ones(INNER)
    heads[least_head], neurons[:least_neurons] = 0, 0
    return [(heads, neurons)] * LAYERS


def test_the_least_important_are_cut(checkpoint: Checkpoint) -> None:
    width = (HEADS - 1) / HEADS
    small = narrowed(checkpoint.weights, importance(0, round(INNER / HEADS)), width, HEAD)
    name = "ernie.encoder.layers.0."
    assert heads_of(small, 0, HEAD) == HEADS - 1
    query = checkpoint.weights[f"{name}self_attn.q_proj.weight"]
    np.testing.assert_array_equal(small[f"{name}self_attn.q_proj.weight"], query[:, HEAD:])
    inner = checkpoint.weights[f"{name}linear2.weight"]
    np.testing.assert_array_equal(small[f"{name}linear2.weight"], inner[round(INNER / HEADS) :])
    assert small["ernie.embeddings.word_embeddings.weight"].shape[0] == CONFIG["vocab_size"]


def test_cutting_what_has_no_effect_changes_no_answer(checkpoint: Checkpoint) -> None:
    """A head and neurons without any effect are cut: the narrow model answers as the wide one."""
    weights = dict(checkpoint.weights)
    dead = round(INNER / HEADS)
    for i in range(LAYERS):
        at = f"ernie.encoder.layers.{i}."
        for part, rows in (("self_attn.out_proj.weight", HEAD), ("linear2.weight", dead)):
            weights[at + part] = weights[at + part].copy()
            weights[at + part][:rows] = 0
    small = narrowed(weights, importance(0, dead), (HEADS - 1) / HEADS, HEAD)
    np.testing.assert_allclose(logits(checkpoint, weights), logits(checkpoint, small), atol=2e-5)


def test_widths_that_are_no_whole_number() -> None:
    with pytest.raises(ConfigError, match=r"width 0.7 of 12 attention heads is no whole number of heads; possible: w0"):
        check_width(0.7, 12, 1248)
    for width in (0.25, 0.5, 0.75, 2 / 3):
        check_width(width, 12, 1248)


def test_kept_layers() -> None:
    assert layers_kept(4, 2) == [1, 3]
    assert layers_kept(12, 4) == [2, 5, 8, 11]
    assert layers_kept(4, 4) == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match="depth 5: the model has 4 layers"):
        layers_kept(4, 5)


def test_a_shallower_model(checkpoint: Checkpoint) -> None:
    small = shallower(checkpoint.weights, 1)
    assert layer_count(small) == 1
    name = "encoder.layers.{}.linear1.weight"
    np.testing.assert_array_equal(
        small[f"ernie.{name.format(0)}"], checkpoint.weights[f"ernie.{name.format(LAYERS - 1)}"]
    )
    logits(replace(checkpoint, config=replace(checkpoint.config, num_hidden_layers=1)), small)


def test_two_thirds(checkpoint: Checkpoint) -> None:
    """A width named with two digits is the whole number of heads it stands for, and so many of the neurons."""
    check_width(0.67, 12, 1248)
    check_width(0.33, 12, 1248)
    half = narrowed(checkpoint.weights, importance(0, 1), 0.502, HEAD)
    assert heads_of(half, 0, HEAD) == HEADS // 2
    assert half["ernie.encoder.layers.0.linear1.weight"].shape[1] == INNER // 2
