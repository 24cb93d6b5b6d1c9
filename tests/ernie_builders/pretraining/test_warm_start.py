"""The warm start: co-occurring words are near, each head attends to its offset, and the loss falls sooner."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ernie_builders.checkpoints.encoder_config import parse_config
from ernie_builders.checkpoints.random_encoder import random_weights
from ernie_builders.pretraining.corpus.stream import Stream
from ernie_builders.pretraining.warm_start import attend_to_offsets, cooccurrences, positions, word_vectors

from .texts import Run

CONFIG = {"vocab_size": 50, "hidden_size": 312, "num_hidden_layers": 1, "num_attention_heads": 12}
MORE = {"intermediate_size": 64, "max_position_embeddings": 512, "type_vocab_size": 4, "initializer_range": 0.02}


def test_cooccurring_words_are_near() -> None:
    generator = np.random.default_rng(0)
    groups = [generator.choice(10, 30) + 10 * int(generator.integers(3)) for _ in range(400)]  # three topics
    ids = np.concatenate(groups)
    bounds = np.array([0, len(ids)])
    counts = cooccurrences(Stream(ids=ids, starts=np.ones(len(ids), bool), sentences=bounds, documents=bounds), 40)
    assert (counts == counts.T).all()
    slow = np.zeros((40, 40), np.float32)
    for distance in range(1, 6):
        for left, right in zip(ids[:-distance], ids[distance:], strict=True):
            slow[left, right] += 1 / distance
            slow[right, left] += 1 / distance
    np.testing.assert_allclose(counts, slow, rtol=1e-3)
    vectors = word_vectors(counts, 8, seed=0)[:30]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = vectors @ vectors.T
    topic = np.arange(30) // 10
    same = topic[:, None] == topic[None]
    assert similarity[same].mean() > 0.5 > 0.1 > similarity[~same].mean()


@pytest.mark.parametrize("heads", [2, 12])
def test_heads_attend_to_their_offsets(heads: int) -> None:
    weights, hidden = random_weights(parse_config({**CONFIG, **MORE}, ""), 0), 312
    attend_to_offsets(weights, hidden, heads, positions(hidden))
    states = weights["ernie.embeddings.position_embeddings.weight"][:64] / 0.05  # as layer norm leaves them
    query, key = (states @ weights[f"ernie.encoder.layers.0.self_attn.{n}_proj.weight"] for n in ("q", "k"))
    size = hidden // heads
    head_offsets = []
    for head in range(heads):
        inside = slice(head * size, (head + 1) * size)
        scores = query[:, inside] @ key[:, inside].T / np.sqrt(size)
        offsets = scores[10:50].argmax(axis=1) - np.arange(10, 50)
        assert len(set(offsets.tolist())) == 1
        assert 7 < scores[20].max() < 10
        head_offsets.append(int(offsets[0]))
    assert head_offsets == [offset for offset in range(-heads // 2, heads // 2 + 1) if offset]


def test_the_loss_falls_sooner(text_run: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--steps", "40", "--lengths", "32", "--eval-every", "10", "--shape", "1x32x2", "--save-every", "40"]
    cold, warm = (text_run(start, *options, "--start", start) for start in ("random", "warm"))
    assert cold() == 0
    assert warm("--stop-after", "0") == 0
    assert "word vectors from co-occurrences" in capsys.readouterr().out
    assert warm() == 0
    assert "word vectors" not in capsys.readouterr().out  # kept from the first piece
    cold_losses, warm_losses = ([row["held_loss"] for row in run.log() if "held_loss" in row] for run in (cold, warm))
    assert len(cold_losses) == len(warm_losses) == 4
    assert np.mean(warm_losses) < np.mean(cold_losses) - 0.1
    assert all(w < c for w, c in zip(warm_losses, cold_losses, strict=True))
    assert warm("--init", "embedded") == 1
    assert "--start warm: is for a run without --init" in capsys.readouterr().err
