"""The Paddle layer that is pre-trained. This module imports Paddle: import it inside functions only."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor
from paddlenlp.transformers import ErnieConfig, ErnieModel


class Predictions(paddle.nn.Layer):
    """Head of the masked language model: transform, activation, layer norm, decoder tied to the embeddings, bias."""

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        self.transform = paddle.nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = getattr(paddle.nn.functional, config.hidden_act)
        self.layer_norm = paddle.nn.LayerNorm(config.hidden_size)
        self.decoder_bias = self.create_parameter([config.vocab_size], is_bias=True)

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        """Logits [M, entries] of hidden states [M, H]; table: word embeddings [entries, H]."""
        hidden = self.layer_norm(self.activation(self.transform(hidden)))
        return paddle.matmul(hidden, table, transpose_y=True) + self.decoder_bias


class Heads(paddle.nn.Layer):
    """The head of the masked language model, and a linear layer for each sentence task."""

    def __init__(self, config: ErnieConfig, classes: Mapping[str, int]) -> None:
        super().__init__()
        self.predictions = Predictions(config)
        self.sentence = paddle.nn.LayerDict(
            {task: paddle.nn.Linear(config.hidden_size, count) for task, count in classes.items()}
        )


class PretrainingEncoder(paddle.nn.Layer):
    """ERNIE with its pre-training heads; classes: sentence task -> number of its labels."""

    def __init__(self, config: ErnieConfig, classes: Mapping[str, int]) -> None:
        super().__init__()
        self.ernie = ErnieModel(config)
        self.cls = Heads(config, classes)
        self.hidden_size = config.hidden_size
        # Otherwise Paddle stops the gradient of this row, and computes the embedding as a product with a mask.
        self.ernie.embeddings.word_embeddings.padding_idx = None

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, positions: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits [M, entries] at the flat positions b * L + l, and [B, labels] for each sentence task."""
        hidden, pooled = self.ernie(input_ids, token_type_ids=token_type_ids)
        chosen = paddle.gather(hidden.reshape([-1, self.hidden_size]), positions)
        logits = self.cls.predictions(chosen, self.ernie.embeddings.word_embeddings.weight)
        return logits, [head(pooled) for head in self.cls.sentence.values()]
