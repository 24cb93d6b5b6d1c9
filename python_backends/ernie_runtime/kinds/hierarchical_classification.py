"""Any number of labels for a text, in a tree: a sigmoid a label, closed under parents, given as paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from ..errors import ManifestError
from ..manifest import Manifest
from ..names import LOGITS
from ..numeric import check_finite
from ..results import HierarchyResult
from ..text.windows import Document
from . import Answer, OneText, TensorSpec, WindowOutput

SEPARATOR = "##"
DEFAULT_THRESHOLD = 0.5  # of a label that the manifest's `thresholds` do not have
OPTIONS = ("thresholds", "threshold_choice")


@dataclass(frozen=True, kw_only=True)
class LabelTree:
    """The labels' tree, read off their names: `parent##child`, any depth, every parent a label itself."""

    names: tuple[str, ...]
    parents: tuple[int, ...]  # index of the label's parent; -1 at the top
    levels: tuple[int, ...]  # 1 at the top

    @classmethod
    def of(cls, names: tuple[str, ...]) -> LabelTree:
        """ManifestError where a part of a name is empty or a label's parent is no label."""
        index = {name: i for i, name in enumerate(names)}
        parents, levels = [], []
        for name in names:
            parts = name.split(SEPARATOR)
            if not all(part.strip() for part in parts):
                raise ManifestError(f"label {name!r} has an empty part between its {SEPARATOR!r}")
            parent = SEPARATOR.join(parts[:-1])
            if parent and parent not in index:
                raise ManifestError(f"label {name!r} needs its parent {parent!r} among the labels")
            parents.append(index[parent] if parent else -1)
            levels.append(len(parts))
        return cls(names=names, parents=tuple(parents), levels=tuple(levels))

    @cached_property
    def upward(self) -> list[tuple[int, int]]:
        """(label, its parent), deepest labels first: one pass over these reaches the top."""
        below = [i for i, parent in enumerate(self.parents) if parent >= 0]
        return [(i, self.parents[i]) for i in sorted(below, key=lambda i: -self.levels[i])]

    def chain(self, label: int) -> list[int]:
        """The label's ancestors from the top, and the label itself."""
        found = [label]
        while self.parents[found[0]] >= 0:
            found.insert(0, self.parents[found[0]])
        return found

    def close(self, values: np.ndarray) -> np.ndarray:
        """A copy of [N, C] in which no label's value is below one of its children's: scores, or bool for labels kept.

        What holds of a child holds of its parent, so the parent is at least as probable.
        """
        closed = values.copy()
        for label, parent in self.upward:
            np.maximum(closed[:, parent], closed[:, label], out=closed[:, parent])
        return closed


@lru_cache(maxsize=64)
def label_tree(names: tuple[str, ...]) -> LabelTree:
    """The tree of a manifest's label names, made once."""
    return LabelTree.of(names)


def tree_of(manifest: Manifest) -> LabelTree:
    """The tree of a manifest's labels; ManifestError where the names make none."""
    return label_tree(tuple(label.name for label in manifest.labels))


def thresholds_of(manifest: Manifest) -> np.ndarray:
    """The score from which each label is kept, float32 [C]."""
    given: Mapping[str, float] = manifest.options.get("thresholds", {})
    return np.array([given.get(label.name, DEFAULT_THRESHOLD) for label in manifest.labels], np.float32)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Sigmoid, float32, without overflow; EngineError where a logit is not finite."""
    check_finite(logits)
    small = np.exp(-np.abs(logits))
    result: np.ndarray = np.where(logits >= 0, 1, small) / (1 + small)
    return result.astype(np.float32)


def keep(scores: np.ndarray, thresholds: np.ndarray, tree: LabelTree) -> np.ndarray:
    """The labels of each text, bool [N, C]: scores at or above their threshold, and the parents of these."""
    return tree.close(scores >= thresholds)


class HierarchicalClassification(OneText):
    """TEXT -> SCORES (a probability a label, in the manifest's order), RESULT with `labels` and `paths`."""

    name = "hierarchical_classification"
    offsets = False

    def check(self, manifest: Manifest) -> None:
        """At least two labels whose names make a tree; thresholds of known labels in 0..1."""
        try:
            if len(manifest.labels) < 2:
                raise ManifestError(f"{self.name} needs at least two labels")
            known = set(tree_of(manifest).names)
            _check_options(manifest.options, known)
        except ManifestError as error:
            raise ManifestError(f"task {manifest.task}: {error}") from None

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """SCORES FP32 [labels]."""
        return (TensorSpec("SCORES", "FP32", (len(manifest.labels),)),)

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """logits FP32 [labels]."""
        return (TensorSpec(LOGITS, "FP32", (len(manifest.labels),)),)

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """A label's score is its best window's, and no less than any of its children's.

        A text says a thing if one of its windows does, hence the largest and not the mean. Labels come in the order
        of the tree, best first among siblings (ties in the manifest's order); paths end where no child is kept.
        """
        if not outputs:
            return []
        tree = tree_of(manifest)
        probabilities = sigmoid(np.stack([w.tensors[LOGITS] for windows in outputs for w in windows]))
        starts = np.cumsum([0, *(len(windows) for windows in outputs[:-1])])
        scores = tree.close(np.maximum.reduceat(probabilities, starts, axis=0))
        kept = keep(scores, thresholds_of(manifest), tree)
        return [Answer(_result(tree, row, mine), {"SCORES": row}) for row, mine in zip(scores, kept, strict=True)]


def _check_options(options: Mapping[str, Any], known: set[str]) -> None:
    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        raise ManifestError(f"options {', '.join(map(repr, unknown))} are none of {', '.join(OPTIONS)}")
    thresholds = options.get("thresholds", {})
    if not isinstance(thresholds, Mapping):
        raise ManifestError("thresholds must be a table label = number")
    for name, value in thresholds.items():
        if name not in known:
            raise ManifestError(f"thresholds: {name!r} is none of the {len(known)} labels")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise ManifestError(f"thresholds: {name!r} is {value!r}; a threshold is a number from 0 to 1")


def _result(tree: LabelTree, scores: np.ndarray, kept: np.ndarray) -> HierarchyResult:
    """RESULT of one text; scores float32 [C], kept bool [C]."""
    values = scores.tolist()
    found = np.flatnonzero(kept).tolist()
    # A parent's key begins its children's keys, so it comes right before them.
    found.sort(key=lambda label: [(-values[step], step) for step in tree.chain(label)])
    inner = {tree.parents[label] for label in found}
    return {
        "labels": [
            {"label": tree.names[label], "level": tree.levels[label], "score": round(values[label], 6)}
            for label in found
        ],
        "paths": [tree.names[label].split(SEPARATOR) for label in found if label not in inner],
    }


KIND = HierarchicalClassification()
