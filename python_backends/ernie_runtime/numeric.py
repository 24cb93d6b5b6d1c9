"""Numeric functions that several kinds share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .errors import EngineError


def check_finite(values: np.ndarray) -> None:
    """EngineError where a value is NaN or infinite: no answer could be made of it."""
    if not np.isfinite(values).all():
        raise EngineError("the encoder's output is not finite (NaN or infinity)")


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, float32 [..., C], stable for large logits.

    EngineError where a row holds NaN or infinity, or minus infinity alone.
    """
    largest = logits.max(axis=-1, keepdims=True)
    check_finite(largest)  # then the rest is finite too: a NaN is the maximum of its row
    shifted = np.exp(logits - largest)
    result: np.ndarray = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def stack(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Rows [...] stacked into one array [B, ...]; a view where there is only one row."""
    return rows[0][None] if len(rows) == 1 else np.stack(rows)
