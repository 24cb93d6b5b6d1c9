"""How well vectors separate labels: classification by the nearest neighbour; and how alike two texts' tokens are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ROWS = 1024  # of the matrix of cosines that are computed together


def neighbours_agree(vectors: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Whether the nearest other vector has the same label, bool [N]; the first of equally near ones.

    vectors: [N, D] of length 1, N at least 2.
    """
    _, numbers = np.unique(np.asarray(labels), return_inverse=True)
    agree = np.zeros(len(vectors), bool)
    for start in range(0, len(vectors), ROWS):
        cosines = vectors[start : start + ROWS] @ vectors.T
        own = np.arange(len(cosines))
        cosines[own, start + own] = -np.inf
        agree[start : start + ROWS] = numbers[cosines.argmax(axis=1)] == numbers[start : start + ROWS]
    return agree


def token_f1(first: np.ndarray, second: np.ndarray) -> float:
    """BERTScore's F1 of two texts: the mean of each token's best cosine in the other text, both ways, combined.

    first, second: [tokens, D] of length 1, at least one token each. Source: Zhang et al. 2020, "BERTScore", without
    weights for rare tokens and without rescaling.
    """
    cosines = first.astype(np.float64) @ second.T.astype(np.float64)
    precision, recall = float(cosines.max(axis=1).mean()), float(cosines.max(axis=0).mean())
    return 2 * precision * recall / (precision + recall) if min(precision, recall) > 0 else 0.0
