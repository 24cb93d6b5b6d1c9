"""Fill-mask, the building side: the base model is published with its pre-training head, nothing is fine-tuned.

Metric: accuracy of the best token and of the best five on masked held-out text (readers/masked_text.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ernie_runtime.json_types import JsonObject
from ernie_runtime.kinds import Answer, get_kind
from ernie_runtime.kinds.fill_mask import MASK, options_of
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline

from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.pretraining_head import with_pretraining_head
from ..metrics.row_metric import RowMetric, share
from ..readers import Example
from . import BuilderKind, LayerOutput, Tensors

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.nn import Layer
    from paddlenlp.transformers import ErnieConfig

TOP = 5  # tokens for each mask that `top5` looks at


class FillMaskBuilder(BuilderKind):
    """Target: the token that each mask stands for, in order."""

    main_metric = "accuracy"
    by_character = True
    has_pooler = False
    trains = False

    def prepare(self, source: Checkpoint) -> Checkpoint:
        """With its pre-training head."""
        return with_pretraining_head(source)

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """There is a token for every mask."""
        masks = example.texts[0].count(MASK)
        if not isinstance(example.target, list) or not masks or len(example.target) != masks:
            return f"expected a text with {MASK} and a token for each, as the format masked_text gives them"
        return None

    def model(self, config: ErnieConfig, manifest: Manifest) -> Layer:
        """The encoder, the pre-training head, softmax and top-k."""
        from ._layers import MaskedLanguageModel

        candidates = get_kind(manifest.kind).encoder_outputs(manifest)[0].dims[-1]
        return MaskedLanguageModel(config, manifest.vocabulary_size, candidates)

    def outputs(self, raw: LayerOutput) -> dict[str, Tensor]:
        """top_scores, top_ids [B, L, K]."""
        return {"top_scores": raw[0], "top_ids": raw[1]}

    def loss(self, outputs: Tensors, targets: Tensors) -> Tensor:
        """Never called: nothing is trained."""
        raise NotImplementedError("a fill-mask model is not fine-tuned")

    def learn(
        self,
        manifest: Manifest,
        train: Sequence[Example],
        held_out: Sequence[Example],
        pipeline: Callable[[], Pipeline],
    ) -> JsonObject:
        """The vocabulary: the encoder gives ids, the postprocessor must answer with tokens."""
        tokenizer = pipeline().tokenizer
        special = set(tokenizer.special_ids)
        return options_of(["" if id in special else tokenizer.token(id) for id in range(tokenizer.vocab_size)])

    def row_metrics(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, RowMetric]:
        """Percent of the masks whose token is the best answer (`accuracy`) or among the best five (`top5`)."""
        rows = np.zeros((len(examples), 3))  # best, among the best five, masks
        for row, example, answer in zip(rows, examples, answers, strict=True):
            row[2] = len(example.target)
            for expected, tokens in zip(example.target, _tokens(answer), strict=False):
                row[0] += tokens[:1] == [expected]
                row[1] += expected in tokens[:TOP]
        return {
            "accuracy": RowMetric(rows=rows[:, [0, 2]], of=share),
            "top5": RowMetric(rows=rows[:, [1, 2]], of=share),
        }

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> JsonObject | None:
        """The masked text, the tokens that stood there, the best answers."""
        if isinstance(answer, str):
            return {"text": example.texts[0], "expected": example.target, "error": answer}
        predicted = [tokens[0] if tokens else "" for tokens in _tokens(answer)]
        if predicted == example.target:
            return None
        return {"text": example.texts[0], "expected": example.target, "predicted": predicted}


def _tokens(answer: Answer | str) -> list[list[str]]:
    """The predicted tokens of each mask, best first; empty where there is no answer."""
    if isinstance(answer, str):
        return []
    return [[candidate["token"] for candidate in mask] for mask in answer.result["masks"]]


KIND = FillMaskBuilder()
