"""The projection of embeddings to fewer numbers by principal components, fitted on vectors of training text."""

from __future__ import annotations

import numpy as np

PROJECTION = "projection.weight"
MAX_TEXTS = 5000  # that it is fitted on


def fit_projection(vectors: np.ndarray, dimension: int) -> np.ndarray:
    """float32 [H, dimension]: the first right singular vectors of vectors [N, H], the largest singular value first.

    The vectors are not centred: their products, and so their cosines, are kept as well as `dimension` numbers can keep
    them, and the first n numbers of a reduced vector are its reduction to n.
    """
    values, directions = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors.astype(np.float64))
    first: np.ndarray = directions[:, np.argsort(-values, kind="stable")[:dimension]]
    largest = np.abs(first).argmax(axis=0)
    # A direction's sign is arbitrary; chosen so, the same text gives the same projection on every machine.
    projection: np.ndarray = (first * np.sign(first[largest, np.arange(first.shape[1])])).astype(np.float32)
    return projection
