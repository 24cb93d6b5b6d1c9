"""Fill-mask, the building side: nothing is fine-tuned, the base model is published with its pre-training head.

Metric: accuracy of the best token and of the best five, on held-out text with masks (see readers/masked_text.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ernie_runtime.kinds import Answer, get_kind
from ernie_runtime.kinds.fill_mask import MASK, options_of
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline

from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.pretraining_head import with_pretraining_head
from ..readers import Example
from . import BuilderKind

TOP = 5


class FillMaskBuilder(BuilderKind):
    """Target: the token that each mask stands for, in order."""

    main_metric = "accuracy"
    unused = ("pooler",)
    trains = False

    def start(self, source: Checkpoint) -> Checkpoint:
        """With its pre-training head."""
        return with_pretraining_head(source)

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """A token for every mask."""
        masks = example.texts[0].count(MASK)
        if not isinstance(example.target, list) or not masks or len(example.target) != masks:
            return f"expected a text with {MASK} and a token for each, as the format masked_text gives them"
        return None

    def model(self, config: Any, manifest: Manifest) -> Any:
        """The encoder, the pre-training head with its decoder tied to the word embeddings, softmax, top-k."""
        import paddle
        from paddlenlp.transformers import ErnieModel

        most = get_kind(manifest.kind).encoder_outputs(manifest)[0].dims[-1]
        entries = manifest.vocabulary_size  # the table may have spare rows

        class Predictions(paddle.nn.Layer):
            def __init__(self) -> None:
                super().__init__()
                self.transform = paddle.nn.Linear(config.hidden_size, config.hidden_size)
                self.activation = getattr(paddle.nn.functional, config.hidden_act)
                self.layer_norm = paddle.nn.LayerNorm(config.hidden_size)
                self.decoder_bias = self.create_parameter([config.vocab_size], is_bias=True)

            def forward(self, hidden: Any, table: Any) -> Any:
                hidden = self.layer_norm(self.activation(self.transform(hidden)))
                return paddle.matmul(hidden, table[:entries], transpose_y=True) + self.decoder_bias[:entries]

        class Head(paddle.nn.Layer):
            def __init__(self) -> None:
                super().__init__()
                self.predictions = Predictions()

        class MaskedLanguageModel(paddle.nn.Layer):
            def __init__(self) -> None:
                super().__init__()
                self.ernie = ErnieModel(config)
                self.cls = Head()
                # Else an exported graph holds the table twice, as stored and with the pad id's row at 0, which no
                # token attends to.
                self.ernie.embeddings.word_embeddings.padding_idx = None

            def forward(self, input_ids: Any, token_type_ids: Any = None) -> Any:
                hidden = self.ernie(input_ids, token_type_ids=token_type_ids)[0]
                logits = self.cls.predictions(hidden, self.ernie.embeddings.word_embeddings.weight)
                return paddle.topk(paddle.nn.functional.softmax(logits, axis=-1), most, axis=-1)

        return MaskedLanguageModel()

    def outputs(self, raw: Any) -> dict[str, Any]:
        """top_scores, top_ids [B, L, K]."""
        return {"top_scores": raw[0], "top_ids": raw[1]}

    def loss(self, outputs: Mapping[str, Any], targets: Mapping[str, Any]) -> Any:
        """Never asked for."""
        raise NotImplementedError("a fill-mask model is not fine-tuned")

    def learn(
        self, manifest: Manifest, train: Sequence[Example], dev: Sequence[Example], pipeline: Callable[[], Pipeline]
    ) -> dict[str, Any]:
        """The vocabulary: the postprocessor says tokens, the encoder ids."""
        tokenizer = pipeline().tokenizer
        return options_of([tokenizer.token(id) for id in range(tokenizer.vocab_size)])

    def score(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, float]:
        """Percent of the masks whose token is the best answer (`accuracy`), or among the best five (`top5`)."""
        masks = first = five = 0
        for example, answer in zip(examples, answers, strict=True):
            masks += len(example.target)
            for expected, tokens in zip(example.target, _tokens(answer), strict=False):
                first += tokens[:1] == [expected]
                five += expected in tokens[:TOP]
        return {
            "accuracy": round(100 * first / max(masks, 1), 3),
            "top5": round(100 * five / max(masks, 1), 3),
        }

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> dict[str, Any] | None:
        """The masked text, the tokens that stood there, the best answers."""
        if isinstance(answer, str):
            return {"text": example.texts[0], "expected": example.target, "error": answer}
        predicted = [tokens[0] if tokens else "" for tokens in _tokens(answer)]
        if predicted == example.target:
            return None
        return {"text": example.texts[0], "expected": example.target, "predicted": predicted}


def _tokens(answer: Answer | str) -> list[list[str]]:
    """The tokens of each mask, best first; none where there is no answer."""
    return [] if isinstance(answer, str) else [[t["token"] for t in mask] for mask in answer.result["masks"]]


KIND = FillMaskBuilder()
