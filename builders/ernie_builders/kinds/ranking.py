"""Ranking, the building side: a query with each of its candidates is a pair to classify.

Metrics: mean reciprocal rank of the best relevant candidate (MRR, Voorhees 1999), F1 of single candidates.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from ernie_runtime.errors import InvalidItem
from ernie_runtime.json_types import JsonObject
from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.ranking import MAX_CANDIDATES, read_candidates
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.windows import Window

from ..metrics.class_report import ClassRow
from ..metrics.row_metric import RowMetric, f1, mean
from ..readers import Example
from . import Targets
from .sequence_classification import SequenceClassificationBuilder


def best_relevant_rank(example: Example, answer: Answer | str) -> int:
    """Rank, from 1, of the best relevant candidate; 0 where the item has no answer."""
    if isinstance(answer, str):
        return 0
    ranking = enumerate(answer.result["ranking"], 1)
    return next(rank for rank, candidate in ranking if candidate["index"] in example.target)


def accepted_candidates(answer: Answer | str) -> set[int]:
    """The indices of the candidates that are more probably relevant than not."""
    ranking = [] if isinstance(answer, str) else answer.result["ranking"]
    return {candidate["index"] for candidate in ranking if candidate["score"] > 0.5}


class RankingBuilder(SequenceClassificationBuilder):
    """Target: the indices of the relevant candidates, one or more. Head and loss are those of pair classification."""

    main_metric = "mrr"
    headline = ("accuracy_at_1",)

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """The candidates can be read, and the target names at least one of them."""
        max_candidates = manifest.options.get("max_candidates", MAX_CANDIDATES)
        try:
            count = len(read_candidates(example.texts[1], manifest.limits, max_candidates))
        except InvalidItem as error:
            return str(error)
        target = example.target
        if not isinstance(target, list) or not target:
            return "expected at least one candidate that fits, by its index, as the formats ranking_... give it"
        wrong = [index for index in target if type(index) is not int or not 0 <= index < count]
        return f"{wrong[0]!r} is no index of one of {count} candidates" if wrong else None

    def targets(self, example: Example, windows: Sequence[Window], manifest: Manifest) -> list[Targets]:
        """Label 1 for a relevant candidate, else 0; each window is a candidate."""
        return [{"label": np.array(index in example.target, np.int64)} for index in range(len(windows))]

    def row_metrics(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, RowMetric]:
        """`mrr`, `accuracy_at_1` (the first candidate is relevant), and `f1` of the candidates above 0.5 (DBQA).

        In percent; an unanswered item counts 0.
        """
        ranks = [best_relevant_rank(example, answer) for example, answer in zip(examples, answers, strict=True)]
        accepted = [accepted_candidates(answer) for answer in answers]
        relevant = [set(example.target) for example in examples]
        rows = [(len(a & b), len(a), len(b)) for a, b in zip(accepted, relevant, strict=True)]
        return {
            "mrr": RowMetric(rows=np.array([1 / rank if rank else 0.0 for rank in ranks]), of=mean),
            "accuracy_at_1": RowMetric(rows=np.array([float(rank == 1) for rank in ranks]), of=mean),
            "f1": RowMetric(rows=np.array(rows, np.float64).reshape(-1, 3), of=f1),
        }

    def class_report(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> list[ClassRow]:
        """None: candidates are ranked, not classified."""
        return []

    def confusion(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> np.ndarray | None:
        """None, for the same reason."""
        return None

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> JsonObject | None:
        """The query, the relevant candidates, the one ranked first, and the rank of the best relevant one."""
        candidates = json.loads(example.texts[1])
        row = {"query": example.texts[0], "expected": [candidates[index] for index in example.target]}
        if isinstance(answer, str):
            return {**row, "error": answer}
        rank, best = best_relevant_rank(example, answer), answer.result["ranking"][0]
        return None if rank == 1 else {**row, "predicted": best["text"], "score": best["score"], "rank": rank}


KIND = RankingBuilder()
