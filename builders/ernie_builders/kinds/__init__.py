"""Task kinds, the building side: one module per kind, with the name of its module in ernie_runtime/kinds.

Each module has a KIND, which is a `BuilderKind`. Paddle is imported inside `model`, `outputs` and `loss` only, so that
reading data, linting and scoring need no framework; layers and losses themselves are in `_layers`.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

import numpy as np

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.kinds import Answer
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.windows import Document, Window

from ..checkpoints.checkpoint import Checkpoint
from ..metrics.class_report import ClassRow
from ..metrics.row_metric import RowMetric
from ..readers import Example

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.nn import Layer
    from paddlenlp.transformers import ErnieConfig

IGNORED = -100  # target of a token that has no part in the loss: `ignore_index` of Paddle's cross entropy
Targets = Mapping[str, np.ndarray]
"""By name: a scalar, an array of fixed shape, or [L, ...] with one target per token, padded in batches with IGNORED."""
LayerOutput = Union["Tensor", tuple["Tensor", ...]]
"""What a Paddle layer returns, before its tensors have names."""
Tensors = Mapping[str, "Tensor"]
"""Paddle tensors by name: outputs of a layer, or the targets of a batch."""


@dataclass(frozen=True)
class Row:
    """One training row: usually one window; both texts of a pair for a model that encodes them separately."""

    windows: tuple[Window, ...]
    targets: Targets


class BuilderKind(ABC):
    """How models of one task kind are trained and scored."""

    main_metric: str
    """Name of the metric that chooses the best checkpoint; larger is better."""

    headline: tuple[str, ...] = ()
    """Metrics to print in the builder's one line, besides all whose name has no `_`."""

    has_pooler = True
    """Whether the head reads the encoder's pooler, unless `without_pooler` says otherwise for a task's options."""

    by_character = False
    """Whether a SentencePiece vocabulary reads texts by character where the task does not say (`TaskConfig.tokens`)."""

    tags_tokens = False
    """Whether each token gets a label of its own, so that none may cover characters of two."""

    trains = True
    """Whether there is something to fine-tune; otherwise the base model is published as it is."""

    training_version = 1
    """Raise it when the same hyperparameters train this kind in another way: finished trainings are then repeated."""

    needs_head = True
    """Whether a fine-tuned checkpoint must have weights besides the encoder's."""

    def without_pooler(self, options: Json) -> bool:
        """Whether the head does not read the pooler, which Paddle's layer has all the same."""
        return not self.has_pooler

    def prepare(self, source: Checkpoint) -> Checkpoint:
        """The base model or checkpoint with what this kind needs of it, such as its pre-training head."""
        return source

    def reads_pooler(self, options: Json) -> bool:
        """Whether the task reads the pooler that came with the encoder, so that it cannot start from a random one."""
        del options
        return False

    def lacks(self, checkpoint: Checkpoint, options: Json) -> str | None:
        """What a fine-tuned checkpoint has not that the options ask for, in words that follow its name; or None."""
        del checkpoint, options
        return None

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """What is wrong with the example (an unknown label, a span outside the text), or None."""
        del example, manifest
        return None

    def rows(self, example: Example, document: Document, windows: Sequence[Window], manifest: Manifest) -> list[Row]:
        """The training rows of an example that can be served; by default one per window, with `targets`."""
        del document
        return [
            Row((window,), targets)
            for window, targets in zip(windows, self.targets(example, windows, manifest), strict=True)
        ]

    def targets(self, example: Example, windows: Sequence[Window], manifest: Manifest) -> list[Targets]:
        """The training targets of each window."""
        raise NotImplementedError

    @abstractmethod
    def model(self, config: ErnieConfig, manifest: Manifest) -> Layer:
        """The Paddle layer for an ErnieConfig whose num_labels is the number of labels, with the encoder as `.ernie`.

        The layer is called with (input_ids, token_type_ids=...), int64 [B, L]. The caller loads the weights.
        """

    @abstractmethod
    def outputs(self, raw: LayerOutput) -> dict[str, Tensor]:
        """The layer's result as tensors by contract name, in the order of the serving kind's `encoder_outputs`."""

    @abstractmethod
    def loss(self, outputs: Tensors, targets: Tensors) -> Tensor:
        """Mean loss, a Paddle scalar; the windows of a row follow each other in the outputs' first dimension."""

    def derives_weights(self, options: Json) -> bool:
        """Whether `derive_weights` has something to do, so that training text is read though nothing is trained."""
        del options
        return False

    def derive_weights(
        self,
        checkpoint: Checkpoint,
        manifest: Manifest,
        train: Sequence[Example],
        pipeline: Callable[[Manifest], Pipeline],
    ) -> Checkpoint:
        """The checkpoint with weights that are computed from text, not trained; called where nothing is trained.

        `pipeline(manifest)` serves the checkpoint under a manifest that it fits.
        """
        del manifest, train, pipeline
        return checkpoint

    def learn(
        self,
        manifest: Manifest,
        train: Sequence[Example],
        held_out: Sequence[Example],
        pipeline: Callable[[], Pipeline],
    ) -> JsonObject:
        """Options of the manifest that are learnt from data (thresholds, normal forms), as JSON data.

        Called once, after fine-tuning; the result is stored with the checkpoint. `pipeline()` serves the trained model.
        """
        del manifest, train, held_out, pipeline
        return {}

    @abstractmethod
    def row_metrics(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, RowMetric]:
        """Metrics by name, the main metric among them; an answer that is a str is an error, and counts as wrong."""

    def score(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, float]:
        """The values of `row_metrics`, in points."""
        return {name: metric.value for name, metric in self.row_metrics(examples, answers, manifest).items()}

    def class_report(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> Sequence[ClassRow]:
        """Figures class by class, for a file beside the wrong predictions; empty for a kind without classes."""
        del examples, answers, manifest
        return []

    def confusion(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> np.ndarray | None:
        """int64 [labels, labels + 1], expected by predicted, the last column unanswered; None where a text has no label
        or several.
        """
        del examples, answers, manifest
        return None

    @abstractmethod
    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> JsonObject | None:
        """A row for the file of wrong predictions, as JSON data; None where the answer is right."""


def get_builder_kind(name: str) -> BuilderKind:
    """The builder's side of the kind called `name`, one of `ernie_runtime.kinds.kind_names()`."""
    kind: BuilderKind = importlib.import_module(f"{__name__}.{name}").KIND
    return kind
