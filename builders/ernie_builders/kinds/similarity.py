"""Similarity of two texts, the building side. Metric: Spearman's rank correlation with the data's scores (STS)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.similarity import FIRST
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.windows import Document, Window

from ..errors import ConfigError
from ..readers import Example
from . import BuilderKind, Row

FAR_OFF = 0.5  # a score so far from the data's is listed as wrong


def score_of(example: Example) -> float:
    """The data's score: readers give a number, or a label that is one."""
    return float(example.target)


def ranks(values: Sequence[float]) -> np.ndarray:
    """Ranks from 0, float64 [N]; equal values share the mean of theirs."""
    _, group, counts = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank: np.ndarray = (last - counts + last - 1) / 2
    return mean_rank[group]


def spearman(found: Sequence[float], gold: Sequence[float]) -> float:
    """Pearson's correlation of the ranks, -1 to 1; 0 where all values of one side are equal."""
    a, b = (ranks(values) - (len(values) - 1) / 2 for values in (found, gold))
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0 else 0.0


def best_threshold(found: Sequence[float], same: Sequence[bool]) -> tuple[float, float]:
    """(accuracy, threshold): the threshold for which `score >= threshold` is most often right; the lowest of the best.

    It lies midway between two scores, or beyond the last: -1 says "same" to every pair, 2 to none.
    """
    order = np.argsort(found, kind="stable")
    values, gold = np.asarray(found, np.float64)[order], np.asarray(same, bool)[order]
    # right[i]: how many are right where the first i pairs are called different and the others the same
    right = np.concatenate([[0], np.cumsum(~gold)]) + gold.sum() - np.concatenate([[0], np.cumsum(gold)])
    between = np.concatenate([[True], values[1:] > values[:-1], [True]])
    place = int(np.argmax(np.where(between, right, -1)))
    edges = np.concatenate([[-1.0], (values[1:] + values[:-1]) / 2, [2.0]])
    return float(right[place]) / max(len(values), 1), float(edges[place])


def pair_metrics(cosines: Sequence[float | None], gold: Sequence[float]) -> dict[str, float]:
    """Spearman x 100; for scores that are all 0 or 1 also the accuracy at the best threshold, and the threshold.

    None, a pair that could not be answered, counts as the opposite of what the data says.
    """
    middle = (max(gold, default=0) + min(gold, default=0)) / 2
    found = [
        (-1.0 if score > middle else 1.0) if cosine is None else cosine
        for cosine, score in zip(cosines, gold, strict=True)
    ]
    metrics = {"spearman": round(100 * spearman(found, gold), 3)}
    if set(gold) == {0.0, 1.0}:
        accuracy, threshold = best_threshold(found, [score == 1 for score in gold])
        metrics |= {"accuracy_best_threshold": round(100 * accuracy, 3), "threshold": round(threshold, 4)}
    return metrics


class SimilarityBuilder(BuilderKind):
    """Target: a number, 0 for nothing in common up to options.max_score (by default 1) for the same meaning."""

    main_metric = "spearman"
    headline = ("accuracy_best_threshold",)
    unused = ("pooler",)
    needs_head = False  # a pooling has no weights

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """The score is a number from 0 to options.max_score."""
        highest = manifest.options.get("max_score", 1)
        try:
            score = score_of(example)
        except (TypeError, ValueError):
            return f"the score {example.target!r} is not a number"
        if not 0 <= score <= highest:
            return f"the score {example.target} is outside 0 to {highest} (options.max_score)"
        return None

    def rows(self, example: Example, document: Document, windows: Sequence[Window], manifest: Manifest) -> list[Row]:
        """One row a pair, with the first window of each text."""
        first = document.extra[FIRST]
        if len(windows) < document.windows:
            raise ConfigError("train.windows_per_text must be 0: a similarity task trains on the first of each text")
        target = np.array(score_of(example) / manifest.options.get("max_score", 1), np.float32)
        return [Row((windows[0], windows[first]), {"score": target})]

    def model(self, config: Any, manifest: Manifest) -> Any:
        """The encoder with a pooling, and a projection where options.dimension is not its hidden size."""
        from ._layers import PooledEncoder

        return PooledEncoder(config, manifest.options.get("pooling", "mean"), manifest.options["dimension"])

    def outputs(self, raw: Any) -> dict[str, Any]:
        """embedding [windows, dimension]."""
        return {"embedding": raw}

    def loss(self, outputs: Mapping[str, Any], targets: Mapping[str, Any]) -> Any:
        """Squared error of the cosine against the score on a scale from 0 to 1 (Reimers & Gurevych 2019)."""
        import paddle.nn.functional as F

        vectors = F.normalize(outputs["embedding"].astype("float32"), axis=-1)
        return F.mse_loss((vectors[::2] * vectors[1::2]).sum(axis=-1), targets["score"])

    def score(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, float]:
        """`pair_metrics` of the cosines."""
        found = [None if isinstance(answer, str) else float(answer.numeric["SCORE"]) for answer in answers]
        return pair_metrics(found, [score_of(example) for example in examples])

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> dict[str, Any] | None:
        """Both texts, the data's score on a scale from 0 to 1 and the cosine, where they are far from each other."""
        texts = list(example.texts)
        expected = score_of(example) / manifest.options.get("max_score", 1)
        if isinstance(answer, str):
            return {"text": texts, "expected": round(expected, 4), "error": answer}
        found = answer.result["score"]
        if abs(found - expected) <= FAR_OFF:
            return None
        return {"text": texts, "expected": round(expected, 4), "score": found}


KIND = SimilarityBuilder()
