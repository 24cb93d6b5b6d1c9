"""Paddle layers and losses of the kinds: import this module inside functions only, it imports Paddle."""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import Tensor
from paddlenlp.transformers import ErnieConfig, ErnieForSequenceClassification, ErnieModel

from ernie_runtime.manifest import Manifest

from . import IGNORED

MASKED_LOGIT = -1e4  # rules a token out, and is finite in half precision


class PooledEncoder(paddle.nn.Layer):
    """ERNIE, a pooling over its real tokens ([CLS] and [SEP] among them), and optionally a linear projection.

    pooling: "cls", the state of [CLS]; "mean", the mean over tokens; "first_last_mean", the mean over tokens of the
    states after the first and the last layer (Su et al. 2021, "Whitening Sentence Representations"); "pooler", the
    encoder's own: [CLS] through a dense layer and tanh, as BERT trains it on pairs of sentences.
    dimension: length of the vector; where it is not the hidden size there is a bias-free `projection`.
    """

    def __init__(self, config: ErnieConfig, pooling: str, dimension: int) -> None:
        super().__init__()
        self.ernie = ErnieModel(config)
        self.pooling = pooling
        self.projection = (
            None
            if dimension == config.hidden_size
            else paddle.nn.Linear(config.hidden_size, dimension, bias_attr=False)
        )

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """float32 [B, dimension] for int64 [B, L]; padding (id 0) never counts."""
        if self.pooling == "first_last_mean":
            last, _, states = self.ernie(input_ids, token_type_ids=token_type_ids, output_hidden_states=True)
            hidden = (states[1] + last) / 2  # states[0] is the embeddings' output, before any layer
        else:
            hidden, pooled = self.ernie(input_ids, token_type_ids=token_type_ids)
        if self.pooling == "pooler":
            vector = pooled
        elif self.pooling == "cls":
            vector = hidden[:, 0]
        else:
            vector = mean_of(hidden, input_ids)
        return vector if self.projection is None else self.projection(vector)


class MeanClassifier(paddle.nn.Layer):
    """ERNIE, the mean of its states over real tokens, dropout and a linear layer.

    For an encoder that was trained as an embedding by that mean, where [CLS] alone says little.
    """

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        self.ernie = ErnieModel(config)
        self.dropout = paddle.nn.Dropout(config.hidden_dropout_prob)
        self.classifier = paddle.nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Logits [B, labels] for int64 [B, L]; padding (id 0) never counts."""
        hidden, _ = self.ernie(input_ids, token_type_ids=token_type_ids)
        return self.classifier(self.dropout(mean_of(hidden, input_ids)))


def classifier(config: ErnieConfig, manifest: Manifest) -> paddle.nn.Layer:
    """The encoder with a linear layer, by options.pooling: PaddleNLP's on its pooler, or one on the mean of tokens."""
    if manifest.options.get("pooling") == "mean":
        return MeanClassifier(config)
    return ErnieForSequenceClassification(config)


def mean_of(hidden: Tensor, input_ids: Tensor) -> Tensor:
    """The mean over the real tokens of float [B, L, H]: [B, H]; input_ids: int64 [B, L], 0 is padding."""
    real = (input_ids != 0).astype(hidden.dtype).unsqueeze(-1)
    return (hidden * real).sum(axis=1) / real.sum(axis=1)


class TokenStates(paddle.nn.Layer):
    """ERNIE's states after the last layer."""

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        self.ernie = ErnieModel(config)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """float32 [B, L, hidden] for int64 [B, L]."""
        states, _ = self.ernie(input_ids, token_type_ids=token_type_ids)
        return states


class IntentSlotsModel(paddle.nn.Layer):
    """ERNIE with two heads: dropout and linear on the pooled output (intents), and on each token's (slot tags)."""

    def __init__(self, config: ErnieConfig, slot_tags: int) -> None:
        super().__init__()
        self.ernie = ErnieModel(config)
        self.intent_dropout = paddle.nn.Dropout(config.hidden_dropout_prob)
        self.slot_dropout = paddle.nn.Dropout(config.hidden_dropout_prob)
        self.intent_classifier = paddle.nn.Linear(config.hidden_size, config.num_labels)
        self.slot_classifier = paddle.nn.Linear(config.hidden_size, slot_tags)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Intent logits [B, intents] and slot logits [B, L, slot_tags] for int64 [B, L]."""
        tokens, pooled = self.ernie(input_ids, token_type_ids=token_type_ids)
        return self.intent_classifier(self.intent_dropout(pooled)), self.slot_classifier(self.slot_dropout(tokens))


class MaskedLanguageModel(paddle.nn.Layer):
    """ERNIE with its pre-training head: the likeliest tokens at every position, and their probabilities.

    The decoder is tied to the word embeddings. entries: of the vocabulary; the table may have spare rows.
    """

    def __init__(self, config: ErnieConfig, entries: int, candidates: int) -> None:
        super().__init__()
        self.ernie = ErnieModel(config)
        self.cls = _PretrainingHead(config, entries)
        self.candidates = candidates
        # Otherwise an exported graph holds the table twice: as stored, and with the padding id's row set to 0, which
        # no token attends to.
        self.ernie.embeddings.word_embeddings.padding_idx = None

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """float32 probabilities and int64 token ids, [B, L, candidates] each, best first, for int64 [B, L]."""
        hidden = self.ernie(input_ids, token_type_ids=token_type_ids)[0]
        logits = self.cls.predictions(hidden, self.ernie.embeddings.word_embeddings.weight)
        probabilities, ids = paddle.topk(F.softmax(logits, axis=-1), self.candidates, axis=-1)
        return probabilities, ids


class _PretrainingHead(paddle.nn.Layer):
    """Gives the weights the names of checkpoints: `cls.predictions.*`."""

    def __init__(self, config: ErnieConfig, entries: int) -> None:
        super().__init__()
        self.predictions = _Predictions(config, entries)


class _Predictions(paddle.nn.Layer):
    def __init__(self, config: ErnieConfig, entries: int) -> None:
        super().__init__()
        self.entries = entries
        self.transform = paddle.nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = getattr(F, config.hidden_act)
        self.layer_norm = paddle.nn.LayerNorm(config.hidden_size)
        self.decoder_bias = self.create_parameter([config.vocab_size], is_bias=True)

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        """float32 [B, L, entries]; hidden: [B, L, H]; table: the word embeddings [rows, H]."""
        hidden = self.layer_norm(self.activation(self.transform(hidden)))
        return paddle.matmul(hidden, table[: self.entries], transpose_y=True) + self.decoder_bias[: self.entries]


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy over the tokens that have a target; logits [B, L, C], targets int64 [B, L].

    Computed by hand: for a negative `ignore_index` Paddle's own mean counts ignored tokens in, so that a batch would
    weigh less the more padding it has.
    """
    summed = F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
    return summed / (targets != IGNORED).sum().clip(min=1).astype(summed.dtype)


def boundary_loss(logits: Tensor, targets: Tensor, allowed: Tensor) -> Tensor:
    """Mean cross entropy of one end of an answer span; logits [B, L], targets int64 [B], allowed bool [B, L]."""
    logits = logits.astype("float32")
    logits = paddle.where(allowed, logits, paddle.full_like(logits, MASKED_LOGIT))
    return F.cross_entropy(logits, targets, ignore_index=IGNORED)


def cosine_loss(vectors: Tensor, scores: Tensor) -> Tensor:
    """Squared error of the cosine of neighbouring vectors against their score from 0 to 1 (Reimers & Gurevych 2019).

    vectors: [2 B, D], the texts of a pair one after the other; scores: float32 [B].
    """
    unit = F.normalize(vectors.astype("float32"), axis=-1)
    return F.mse_loss((unit[::2] * unit[1::2]).sum(axis=-1), scores)
