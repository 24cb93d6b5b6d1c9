"""Task kinds, the building side: one module each, the twin of ernie_runtime/kinds/<name>.py.

A module's KIND is a `BuilderKind`. Modules import Paddle inside `model`, `outputs` and `loss` only, so that reading
data, linting and scoring need no framework.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ernie_runtime.kinds import Answer
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.windows import Document, Window

from ..checkpoints.checkpoint import Checkpoint
from ..metrics.class_report import ClassRow
from ..readers import Example

IGNORED = -100  # a target that teaches nothing, as Paddle's cross entropy knows it
Targets = Mapping[str, np.ndarray]
"""By name: a scalar, a fixed shape, or [L, ...] for a target a token; batches pad those with IGNORED."""


@dataclass(frozen=True)
class Row:
    """What is trained on as one: usually a window; both texts of a pair for a model that encodes them apart."""

    windows: tuple[Window, ...]
    targets: Targets


class BuilderKind(ABC):
    """What a kind is to the builder."""

    main_metric: str
    """The figure that chooses the best checkpoint; larger is better."""

    headline: tuple[str, ...] = ()
    """Further figures for the builder's one line, besides those whose name has no `_`."""

    unused: tuple[str, ...] = ()
    """Parts of the names of weights that the layer has and the head does not read."""

    trains = True
    """Whether there is something to fine-tune; else the base model is published as it is."""

    training = 1
    """Raise it when the same hyperparameters train this kind in another way: what was trained is trained again."""

    needs_head = True
    """Whether a checkpoint without weights besides the encoder's cannot be a fine-tuned one."""

    def start(self, source: Checkpoint) -> Checkpoint:
        """The model as this kind takes it (with its pre-training head, say); by default as it is."""
        return source

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """None, or what is wrong with the example (an unknown label, a span outside the text)."""
        del example, manifest
        return None

    def rows(self, example: Example, document: Document, windows: Sequence[Window], manifest: Manifest) -> list[Row]:
        """The training rows of an example that can be served; by default one a window, with `targets`."""
        del document
        return [
            Row((window,), targets)
            for window, targets in zip(windows, self.targets(example, windows, manifest), strict=True)
        ]

    def targets(self, example: Example, windows: Sequence[Window], manifest: Manifest) -> list[Targets]:
        """The training targets of each window."""
        raise NotImplementedError

    @abstractmethod
    def model(self, config: Any, manifest: Manifest) -> Any:
        """The Paddle layer for an ErnieConfig (its num_labels is the number of labels), the encoder as `.ernie`.

        Called with (input_ids, token_type_ids=...), int64 [B, L]. Its weights are loaded by the caller.
        """

    @abstractmethod
    def outputs(self, raw: Any) -> dict[str, Any]:
        """The layer's result as tensors by contract name, in the order of the twin's `encoder_outputs`."""

    @abstractmethod
    def loss(self, outputs: Mapping[str, Any], targets: Mapping[str, Any]) -> Any:
        """Mean loss, a Paddle scalar; rows of several windows follow each other in the outputs' first dimension."""

    def learn(
        self, manifest: Manifest, train: Sequence[Example], dev: Sequence[Example], pipeline: Callable[[], Pipeline]
    ) -> dict[str, Any]:
        """Options of the manifest that come from data (thresholds, normal forms); `pipeline()` is the trained model's.

        Called once a fine-tuning is done; stored with the checkpoint.
        """
        del manifest, train, dev, pipeline
        return {}

    @abstractmethod
    def score(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, float]:
        """Quality figures in percent, the main metric among them; a text without an answer counts as wrong."""

    def report(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> Sequence[ClassRow]:
        """Figures class by class for a file beside the wrong predictions; none for a kind without classes."""
        del examples, answers, manifest
        return []

    @abstractmethod
    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> dict[str, Any] | None:
        """A row for the file of wrong predictions, or None where the answer is right."""


def get_builder_kind(name: str) -> BuilderKind:
    """The builder's side of a kind."""
    kind: BuilderKind = importlib.import_module(f"{__name__}.{name}").KIND
    return kind
