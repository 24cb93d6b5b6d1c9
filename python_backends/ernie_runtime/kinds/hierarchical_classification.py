"""Any number of labels per text, in a tree: a sigmoid per label, closed under parents, given as paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ..errors import Faults, ManifestError
from ..json_types import Json
from ..manifest import Manifest
from ..names import LOGITS, SCORES
from ..numeric import check_finite
from ..results import HierarchyResult
from ..text.windows import Document
from . import POOLING, Answer, OneText, TensorSpec, WindowOutput, check_pooling

SEPARATOR = "##"
DEFAULT_THRESHOLD = 0.5  # of labels that are not in the manifest's `thresholds`
OPTIONS = ("thresholds", "threshold_choice")


@dataclass(frozen=True, kw_only=True)
class LabelTree:
    """The tree of the labels, by their names: `parent##child`, of any depth; every parent is a label itself."""

    names: tuple[str, ...]
    parents: tuple[int, ...]  # index of the label's parent; -1 at the top
    levels: tuple[int, ...]  # 1 at the top

    @classmethod
    def of(cls, names: tuple[str, ...]) -> LabelTree:
        """The tree of label names; ManifestError where a part of a name is empty or a label's parent is no label."""
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
        """(label, its parent), deepest labels first, so that one pass carries values up to the top."""
        children = [i for i, parent in enumerate(self.parents) if parent >= 0]
        return [(i, self.parents[i]) for i in sorted(children, key=lambda i: -self.levels[i])]

    def chain(self, label: int) -> list[int]:
        """The label's ancestors from the top, and the label itself."""
        path = [label]
        while self.parents[path[0]] >= 0:
            path.insert(0, self.parents[path[0]])
        return path

    def close(self, values: np.ndarray) -> np.ndarray:
        """A copy of [N, C] in which no label's value is below a child's: scores, or bool for selected labels.

        A text with a label has the label's parent too, so the parent is at least as probable.
        """
        closed = values.copy()
        for label, parent in self.upward:
            np.maximum(closed[:, parent], closed[:, label], out=closed[:, parent])
        return closed


def parents_of(name: str) -> list[str]:
    """The names of a label's ancestors, from the top."""
    parts = name.split(SEPARATOR)
    return [SEPARATOR.join(parts[:depth]) for depth in range(1, len(parts))]


@lru_cache(maxsize=64)
def label_tree(names: tuple[str, ...]) -> LabelTree:
    """The tree of label names, cached."""
    return LabelTree.of(names)


def tree_of(manifest: Manifest) -> LabelTree:
    """The tree of a manifest's labels; ManifestError where the names make none."""
    return label_tree(tuple(label.name for label in manifest.labels))


def thresholds_of(manifest: Manifest) -> np.ndarray:
    """The score from which each label is selected, float32 [C]."""
    thresholds: Mapping[str, float] = manifest.options.get("thresholds", {})
    return np.array([thresholds.get(label.name, DEFAULT_THRESHOLD) for label in manifest.labels], np.float32)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Sigmoid, float32, without overflow; EngineError where a logit is not finite."""
    check_finite(logits)
    exponential = np.exp(-np.abs(logits))
    result: np.ndarray = np.where(logits >= 0, 1, exponential) / (1 + exponential)
    return result.astype(np.float32)


def select_labels(scores: np.ndarray, thresholds: np.ndarray, tree: LabelTree) -> np.ndarray:
    """The labels of each text, bool [N, C]: those with a score of at least their threshold, and all their parents."""
    return tree.close(scores >= thresholds)


class HierarchicalClassification(OneText):
    """TEXT -> SCORES (the probability of each label, in the manifest's order), RESULT with `labels` and `paths`."""

    name = "hierarchical_classification"
    offsets = False

    def check(self, manifest: Manifest) -> None:
        """At least two labels whose names make a tree; thresholds of known labels in 0..1."""
        faults, where = Faults(), f"task {manifest.task}"
        if len(manifest.labels) < 2:
            faults.lines.append(f"{where}: {self.name} needs at least two labels")
        with faults.collect(where):
            _check_options(manifest.options, set(tree_of(manifest).names))
        with faults.collect():
            check_pooling(manifest)
        faults.check()

    def numeric_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """SCORES FP32 [labels]."""
        return (TensorSpec(SCORES, "FP32", (len(manifest.labels),)),)

    def encoder_outputs(self, manifest: Manifest) -> tuple[TensorSpec, ...]:
        """logits FP32 [labels]."""
        return (TensorSpec(LOGITS, "FP32", (len(manifest.labels),)),)

    def decode(
        self, documents: Sequence[Document], outputs: Sequence[Sequence[WindowOutput]], manifest: Manifest
    ) -> list[Answer]:
        """A label's score is that of its best window, and at least that of each child.

        A text has a label if one of its windows has it, hence the maximum and not the mean. Labels are in the order of
        the tree, best first among siblings (ties in the manifest's order); paths end where no child is selected.
        """
        if not outputs:
            return []
        tree = tree_of(manifest)
        probabilities = sigmoid(np.stack([w.tensors[LOGITS] for windows in outputs for w in windows]))
        starts = np.cumsum([0, *(len(windows) for windows in outputs[:-1])])
        scores = tree.close(np.maximum.reduceat(probabilities, starts, axis=0))
        selected = select_labels(scores, thresholds_of(manifest), tree)
        return [Answer(_result(tree, row, labels), {SCORES: row}) for row, labels in zip(scores, selected, strict=True)]


def _check_options(options: Json, labels: set[str]) -> None:
    faults, unknown = Faults(), [name for name in options if name not in (*OPTIONS, POOLING)]
    if unknown:
        faults.lines.append(f"options {', '.join(map(repr, unknown))} are none of {', '.join((*OPTIONS, POOLING))}")
    thresholds = options.get("thresholds", {})
    if not isinstance(thresholds, Mapping):
        faults.lines.append("thresholds must be a table label = number")
        thresholds = {}
    for name, value in thresholds.items():
        if name not in labels:
            faults.lines.append(f"thresholds: {name!r} is none of the {len(labels)} labels")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            faults.lines.append(f"thresholds: {name!r} is {value!r}; a threshold is a number from 0 to 1")
    faults.check()


def _result(tree: LabelTree, scores: np.ndarray, selected: np.ndarray) -> HierarchyResult:
    """RESULT of one text; scores: float32 [C]; selected: bool [C]."""
    values = scores.tolist()
    labels = np.flatnonzero(selected).tolist()
    # A parent's key is a prefix of its children's keys, so it comes right before them.
    labels.sort(key=lambda label: [(-values[step], step) for step in tree.chain(label)])
    inner = {tree.parents[label] for label in labels}
    return {
        "labels": [
            {"label": tree.names[label], "level": tree.levels[label], "score": round(values[label], 6)}
            for label in labels
        ],
        "paths": [tree.names[label].split(SEPARATOR) for label in labels if label not in inner],
    }


KIND = HierarchicalClassification()
