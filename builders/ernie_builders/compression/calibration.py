"""Calibration data: real windows of the training text, never of the texts that a variant is evaluated on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.tokenizer import Tokenizer

from ..errors import DataError
from ..readers import Example

WINDOWS = 300
Feed = dict[str, np.ndarray]  # the encoder's inputs by name


def calibration_feeds(
    manifest: Manifest, tokenizer: Tokenizer, train: Sequence[Example], seed: int, windows: int = WINDOWS
) -> list[Feed]:
    """`windows` encoder inputs (input_ids and token_type_ids, int64 [1, L]), drawn at random from the training text.

    Texts are sampled first, so that not all of a large training set is tokenized. DataError if there is no text.
    """
    generator = np.random.default_rng(seed)
    text_indices = generator.permutation(len(train))[: windows * 2]
    items = [train[i].texts for i in sorted(text_indices)] or list(manifest.examples)
    _, all_windows = get_kind(manifest.kind).documents(items, tokenizer, manifest)
    if not all_windows:
        raise DataError(
            f"task {manifest.task}: no text to calibrate 8-bit variants on; give --data-dir, or `examples` in the "
            "tasks file"
        )
    window_indices = generator.permutation(len(all_windows))[:windows]
    return [
        {"input_ids": all_windows[i].input_ids[None], "token_type_ids": all_windows[i].token_type_ids[None]}
        for i in window_indices
    ]
