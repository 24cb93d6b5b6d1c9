"""The Paddle layer that is pre-trained. It imports Paddle: import it inside functions only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paddle
from paddlenlp.transformers import ErnieModel


class Predictions(paddle.nn.Layer):
    """Masked language model: transform, activation, layer norm, decoder tied to the word embeddings, its own bias."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.transform = paddle.nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = getattr(paddle.nn.functional, config.hidden_act)
        self.layer_norm = paddle.nn.LayerNorm(config.hidden_size)
        self.decoder_bias = self.create_parameter([config.vocab_size], is_bias=True)

    def forward(self, hidden: Any, table: Any) -> Any:
        """Logits [M, entries] of hidden states [M, H]; table: word embeddings [entries, H]."""
        hidden = self.layer_norm(self.activation(self.transform(hidden)))
        return paddle.matmul(hidden, table, transpose_y=True) + self.decoder_bias


class Heads(paddle.nn.Layer):
    """The masked language model's, and one linear layer for each sentence task."""

    def __init__(self, config: Any, classes: Mapping[str, int]) -> None:
        super().__init__()
        self.predictions = Predictions(config)
        self.sentence = paddle.nn.LayerDict(
            {task: paddle.nn.Linear(config.hidden_size, count) for task, count in classes.items()}
        )


class PretrainingEncoder(paddle.nn.Layer):
    """ERNIE with its pre-training heads; classes: sentence task -> number of its labels."""

    def __init__(self, config: Any, classes: Mapping[str, int]) -> None:
        super().__init__()
        self.ernie = ErnieModel(config)
        self.cls = Heads(config, classes)
        self.hidden_size = config.hidden_size
        # Paddle stops the gradient of this row otherwise, and writes the embedding as a product with a mask.
        self.ernie.embeddings.word_embeddings.padding_idx = None

    def forward(self, input_ids: Any, token_type_ids: Any, places: Any) -> tuple[Any, list[Any]]:
        """Logits [M, entries] at the flat places b * L + l, and [B, labels] for each sentence task."""
        hidden, pooled = self.ernie(input_ids, token_type_ids=token_type_ids)
        chosen = paddle.gather(hidden.reshape([-1, self.hidden_size]), places)
        logits = self.cls.predictions(chosen, self.ernie.embeddings.word_embeddings.weight)
        return logits, [head(pooled) for head in self.cls.sentence.values()]
