"""Small numeric functions that several kinds share."""

from __future__ import annotations

import numpy as np

from .errors import EngineError


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, float32 [..., C], stable for large logits.

    EngineError where a row has no finite sum (NaN, infinity): such an encoder's answer would be no answer.
    """
    with np.errstate(invalid="ignore"):
        shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    total = shifted.sum(axis=-1, keepdims=True)
    if not np.isfinite(total).all():
        raise EngineError("the encoder's output is not finite (NaN or infinity)")
    result: np.ndarray = shifted / total
    return result
