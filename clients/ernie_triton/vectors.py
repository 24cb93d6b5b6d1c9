"""Embeddings cut to fewer numbers: the first ones, scaled to length 1 again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ernie_runtime.names import EMBEDDING, EMBEDDINGS

from .errors import ErnieTritonError
from .replies import Reply
from .results import EmbeddingResult, numeric_outputs
from .tasks import Task

if TYPE_CHECKING:
    import numpy as np


def shortener(task: Task, dimensions: int | None) -> Callable[[Reply], Reply]:
    """Cuts the vectors of replies to `dimensions` numbers; None: nothing. ErnieTritonError where that cannot be.

    For vectors whose first numbers matter most: reduced by PCA, or trained so (Kusupati et al. 2022, "Matryoshka").
    """
    if dimensions is None:
        return lambda reply: reply
    if not {EMBEDDING, EMBEDDINGS} & set(numeric_outputs(task.kind)):
        raise ErnieTritonError(f"task {task.name} ({task.kind}) gives no vectors, so it has no dimensions to cut")
    if not 1 <= dimensions <= task.dimension:
        raise ErnieTritonError(
            f"task {task.name} gives vectors of {task.dimension} numbers; {dimensions} is not 1 to {task.dimension}"
        )

    def shorten(reply: Reply) -> Reply:
        numeric = {
            name: _first(values, dimensions) if name in (EMBEDDING, EMBEDDINGS) else values
            for name, values in reply.numeric.items()
        }
        raw = {**reply.raw, "dimension": dimensions} if "dimension" in reply.raw else reply.raw
        return replace(reply, raw=raw, numeric=numeric)

    return shorten


def stacked(results: Sequence[EmbeddingResult]) -> np.ndarray:
    """The vectors of results, float32 [results, dimension]; [0, 0] for none."""
    import numpy as np  # only here: importing this package needs no numpy

    return np.stack([result.vector for result in results]) if results else np.zeros((0, 0), np.float32)


def _first(vectors: np.ndarray, dimensions: int) -> np.ndarray:
    """[..., D] -> [..., dimensions], of length 1; a zero vector stays zero."""
    import numpy as np  # only here: importing this package needs no numpy

    cut = vectors[..., :dimensions].astype(np.float64)
    lengths = np.linalg.norm(cut, axis=-1, keepdims=True)
    result: np.ndarray = (cut / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return result
