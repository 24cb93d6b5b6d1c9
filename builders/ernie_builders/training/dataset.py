"""Training data: rows of windows and targets, made by the serving code, in batches of similar length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.tokenizer import Tokenizer
from ernie_runtime.text.windows import Window

from ..kinds import IGNORED, Row, get_builder_kind
from ..readers import Example

SORTED_BATCHES = 50  # batches whose rows are sorted by length together: little padding, still well shuffled


def training_rows(
    manifest: Manifest, tokenizer: Tokenizer, examples: Sequence[Example], windows_per_text: int = 0
) -> list[Row]:
    """Windows and targets, by the serving code; without items that cannot be served. windows_per_text: 0 for all."""
    pipeline_kind, builder_kind = Pipeline(manifest, tokenizer, _no_engine).kind, get_builder_kind(manifest.kind)
    rows: list[Row] = []
    for start in range(0, len(examples), 1000):
        chunk = examples[start : start + 1000]
        documents, windows = pipeline_kind.documents([e.texts for e in chunk], tokenizer, manifest)
        item_windows: list[list[Window]] = [[] for _ in chunk]
        for window in windows:
            item_windows[window.owner].append(window)
        for example, document, windows_of_item in zip(chunk, documents, item_windows, strict=True):
            if document.error is None:
                rows += builder_kind.rows(example, document, windows_of_item[: windows_per_text or None], manifest)
    return rows


def _no_engine(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    raise AssertionError("no engine is needed to cut texts")


def epoch_order(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The batches of an epoch (row indices), shuffled, with rows of similar length; seed and epoch decide them."""
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    size = np.asarray(lengths)
    batches = []
    for start in range(0, len(order), batch_size * SORTED_BATCHES):
        pool = order[start : start + batch_size * SORTED_BATCHES]
        pool = pool[np.argsort(size[pool], kind="stable")]
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]


def pad_targets(rows: Sequence[Row], name: str) -> np.ndarray:
    """The rows' targets of that name, stacked [B, ...]; shorter per-token targets are padded with IGNORED."""
    values = [row.targets[name] for row in rows]
    first = values[0]
    if all(value.shape == first.shape for value in values):
        return np.stack(values)
    padded = np.full((len(rows), max(map(len, values)), *first.shape[1:]), IGNORED, first.dtype)
    for i, value in enumerate(values):
        padded[i, : len(value)] = value
    return padded
