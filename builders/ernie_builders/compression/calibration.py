"""Real windows of the training text to calibrate on: never the texts a variant is then measured on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..errors import DataError
from ..readers import Example

WINDOWS = 300
Feed = dict[str, np.ndarray]


def calibration_feeds(
    manifest: Manifest, tokenizer: ErnieTokenizer, train: Sequence[Example], seed: int, windows: int = WINDOWS
) -> list[Feed]:
    """`windows` encoder inputs, each input_ids and token_type_ids int64 [1, L], drawn from all windows of the text.

    The text is sampled first, so that a long training set is not tokenized whole. DataError where there is none.
    """
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(train))[: windows * 2]
    items = [train[i].texts for i in sorted(chosen)] or list(manifest.examples)
    _, cut = get_kind(manifest.kind).documents(items, tokenizer, manifest)
    if not cut:
        raise DataError(
            f"task {manifest.task}: no text to calibrate 8-bit variants on; give --data-dir, or `examples` in the "
            "tasks file"
        )
    picked = generator.permutation(len(cut))[:windows]
    return [{"input_ids": cut[i].input_ids[None], "token_type_ids": cut[i].token_type_ids[None]} for i in picked]
