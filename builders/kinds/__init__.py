"""Task kinds, the building side: one module each, the twin of ernie_runtime/kinds/<name>.py.

A module's KIND object offers what `BuilderKind` asks for. Modules import Paddle inside `model` and `loss` only, so
that reading data, linting and scoring need no framework.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ernie_runtime.kinds import Answer
from ernie_runtime.manifest import Label, Manifest
from ernie_runtime.windows import Window

from ..readers import Example


class BuilderKind(Protocol):
    """What a kind module's KIND offers to the builder."""

    main_metric: str
    """The figure that chooses the best checkpoint; larger is better."""

    unused: tuple[str, ...]
    """Parts of the names of weights that the layer has and the head does not read."""

    def check(self, example: Example, labels: Sequence[Label]) -> str | None:
        """None, or what is wrong with the example (an unknown label, a span outside the text)."""

    def targets(self, example: Example, windows: Sequence[Window], labels: Sequence[Label]) -> list[np.ndarray]:
        """The training target of each window: an int64 scalar, or int64 [L] with -100 where nothing is to be learnt."""

    def model(self, config: Any) -> Any:
        """The Paddle layer (a PaddleNLP class) for an ErnieConfig; its weights are loaded by the caller."""

    def outputs(self, raw: Any) -> dict[str, Any]:
        """The layer's result as tensors by contract name."""

    def loss(self, outputs: dict[str, Any], targets: Any) -> Any:
        """Mean loss, a Paddle scalar."""

    def score(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, float]:
        """Quality figures in percent, the main metric among them."""

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> dict[str, Any] | None:
        """A row for the file of wrong predictions, or None where the answer is right."""


def get_builder_kind(name: str) -> BuilderKind:
    """The builder's side of a kind."""
    kind: BuilderKind = importlib.import_module(f"{__name__}.{name}").KIND
    return kind
