"""Initial weights that encode which words occur together, for runs too short to learn that first.

From small random weights an encoder learns the frequency of each word and, for thousands of steps, nothing else: until
attention points somewhere, no gradient tells it where to point. These weights are a soft n-gram model instead:

- word vectors are the leading singular vectors of the words' positive pointwise mutual information (Levy and Goldberg
  2014, "Neural Word Embedding as Implicit Matrix Factorization"), by randomized subspace iteration (Halko et al. 2011);
- a fifth of the dimensions is kept free of words and holds sinusoidal positions (Vaswani et al. 2017) alone;
- in the first layer each head reads positions only, and attends to one offset: -h/2 ... -1, 1 ... h/2 for h heads;
- the decoder's bias is the logarithm of each word's frequency.

All weights are trained further from there.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.weight_formats import Weights
from ..console import say
from ..errors import ConfigError
from ..filesystem import whole_file
from .corpus.sequences import Corpus
from .corpus.stream import Stream, save_array
from .corpus.vocabulary import BIAS, TABLE

WINDOW = 5  # tokens on either side
SMOOTHING = 0.75  # of the frequencies of neighbours (Levy et al. 2015)
TOKENS = 20_000_000  # counted at most
CHUNK = 4_000_000  # tokens counted at once
MOST_ENTRIES = 20_000  # a table of entries x entries float32 must fit into memory
SPREAD = 0.05  # standard deviation of the embeddings
LOWEST = -1.8  # powers of 10: angular frequencies of positions, from 1 down
PEAK = 8.4  # logit of the offset that a head attends to
GAIN = 2.5  # of the first layer's value and output projections, relative to random weights


def warm_start(start: Checkpoint, corpus: Corpus, special: np.ndarray, seed: int, cache: Path) -> Checkpoint:
    """The random weights of `start` with those of this module in place.

    special: bool [entries]; cache: folder in which the word vectors are kept. ConfigError if the shape is too small.
    """
    entries, hidden, heads = start.config.vocab_size, start.config.hidden_size, start.config.num_attention_heads
    if entries > MOST_ENTRIES:
        raise ConfigError(f"--start warm: the vocabulary has {entries:,} entries, at most {MOST_ENTRIES:,} will do")
    position_size = positions(hidden)
    if min(position_size, hidden // heads) < 2 or heads < 2:
        raise ConfigError(f"--start warm: {hidden} dimensions in {heads} heads are too few; use --start random")
    file = cache / f"words_{hidden - position_size}_{seed}.npy"
    if file.is_file():
        vectors = np.load(file)
    else:
        say("    word vectors from co-occurrences, for the start")
        vectors = word_vectors(cooccurrences(corpus.stream, entries), hidden - position_size, seed)
        cache.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as new:
            save_array(new, vectors)
    weights = {name: value.copy() for name, value in start.weights.items()}
    table = weights[TABLE]
    table[:, hidden - position_size :] = 0
    table[~special, : hidden - position_size] = vectors[~special]
    counts = np.bincount(corpus.stream.ids[:TOKENS], minlength=entries) + 1.0
    counts[special] = 1.0
    weights[BIAS] = np.log(counts / counts.sum()).astype(np.float32)
    attend_to_offsets(weights, hidden, heads, position_size)
    return replace(start, where=f"{start.where}, warm", weights=weights)


def positions(hidden: int) -> int:
    """Number of dimensions for positions, even."""
    return hidden // 10 * 2


def cooccurrences(stream: Stream, entries: int) -> np.ndarray:
    """How often two entries occur within WINDOW tokens, weighted by 1 / distance: float32 [entries, entries]."""
    counts = np.zeros(entries * entries, np.float32)
    size = min(len(stream), TOKENS)
    for first in range(0, size, CHUNK):
        ids = stream.ids[first : min(first + CHUNK, size)].astype(np.int64)
        for distance in range(1, WINDOW + 1):
            pairs, number = np.unique(ids[:-distance] * entries + ids[distance:], return_counts=True)
            counts[pairs] += (number / distance).astype(np.float32)
    table = counts.reshape(entries, entries)
    return table + table.T


def word_vectors(counts: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    """Vectors float32 [entries, dimensions] of mean 0 and standard deviation SPREAD."""
    rows = counts.sum(axis=1, keepdims=True)
    smoothed = rows[:, 0] ** SMOOTHING
    smoothed /= max(smoothed.sum(), 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):
        table = np.log(counts / (rows * smoothed[None]))
    table = np.nan_to_num(np.maximum(table, 0), nan=0.0, posinf=0.0).astype(np.float32)
    rank = min(dimensions + 10, len(table))
    basis = np.random.default_rng(seed).standard_normal((len(table), rank), np.float32)
    for _ in range(4):
        basis, _ = np.linalg.qr(table @ (table.T @ basis))
    left, values, _ = np.linalg.svd(basis.T @ table, full_matrices=False)
    vectors: np.ndarray = (basis @ left)[:, :dimensions] * np.sqrt(values[:dimensions])
    if vectors.shape[1] < dimensions:
        vectors = np.pad(vectors, ((0, 0), (0, dimensions - vectors.shape[1])))
    vectors -= vectors.mean(axis=0)
    return (vectors * (SPREAD / max(float(vectors.std()), 1e-9))).astype(np.float32)


def attend_to_offsets(weights: Weights, hidden: int, heads: int, position_size: int) -> None:
    """Positions as pairs (sin wp, cos wp) in the last `places` dimensions, and a first layer that reads them; in place.

    A head's query turns each pair by w times its offset, so query times key is a sum of cos(w (i + offset - j)).
    """
    table = weights["ernie.embeddings.position_embeddings.weight"]
    word_size, frequencies = hidden - position_size, np.logspace(0, LOWEST, position_size // 2)
    angles = np.arange(len(table))[:, None] * frequencies
    table[:, :word_size] = 0
    table[:, word_size::2] = math.sqrt(2) * SPREAD * np.sin(angles)
    table[:, word_size + 1 :: 2] = math.sqrt(2) * SPREAD * np.cos(angles)
    prefix, size = "ernie.encoder.layers.0.self_attn", hidden // heads
    pairs = size // 2
    used = np.linspace(0, position_size // 2 - 1, pairs).round().astype(int)
    gain = math.sqrt(PEAK * math.sqrt(size) / (2 * pairs))
    query, key = (np.zeros((hidden, hidden), np.float32) for _ in range(2))
    for head in range(heads):
        offset = head - heads // 2 + (head >= heads // 2)
        for number, frequency in enumerate(used.tolist()):
            column, row = head * size + 2 * number, word_size + 2 * frequency
            angle = float(frequencies[frequency]) * offset
            key[row, column] = key[row + 1, column + 1] = gain
            # sin(wi + turn) and cos(wi + turn), of sin wi and cos wi
            query[row, column], query[row + 1, column] = gain * math.cos(angle), gain * math.sin(angle)
            query[row, column + 1], query[row + 1, column + 1] = -gain * math.sin(angle), gain * math.cos(angle)
    for name, value in (("q_proj", query), ("k_proj", key)):
        weights[f"{prefix}.{name}.weight"] = value
        weights[f"{prefix}.{name}.bias"] = np.zeros(hidden, np.float32)
    for name in ("v_proj", "out_proj"):
        weights[f"{prefix}.{name}.weight"] = weights[f"{prefix}.{name}.weight"] * np.float32(GAIN)
