"""Names that the builders, the backends and the clients share: a task's models, tensors, parameters and files.

Standard library only, so that a client needs nothing else of this package.
"""

from __future__ import annotations

TEXT, TEXT_PAIR = "TEXT", "TEXT_PAIR"
QUESTION, CONTEXT = "QUESTION", "CONTEXT"
QUERY, CANDIDATES = "QUERY", "CANDIDATES"
"""Inputs of the ensembles, BYTES [1]; CANDIDATES is a JSON list of strings."""

RESULT = "RESULT"
LABEL_ID, SCORE, SCORES = "LABEL_ID", "SCORE", "SCORES"
EMBEDDING, EMBEDDINGS = "EMBEDDING", "EMBEDDINGS"
"""Outputs of the ensembles: RESULT is BYTES [1], one JSON object a text; the others are a kind's numeric outputs."""

INPUT_IDS, TOKEN_TYPE_IDS = "input_ids", "token_type_ids"
"""Inputs of the encoder, INT64 [tokens], one row a window."""
WINDOW, ITEM, OFFSETS = "WINDOW", "ITEM", "OFFSETS"
"""What the tokenizer hands to the postprocessor past the encoder, one row a window."""

LOGITS = "logits"
INTENT_LOGITS, SLOT_LOGITS = "intent_logits", "slot_logits"
START_LOGITS, END_LOGITS = "start_logits", "end_logits"
ENCODER_EMBEDDING, ENCODER_EMBEDDINGS = "embedding", "embeddings"
TOP_SCORES, TOP_IDS = "top_scores", "top_ids"
"""Outputs of the encoder, by kind: FP32, TOP_IDS INT64. The postprocessor makes EMBEDDING of ENCODER_EMBEDDING.
ENCODER_EMBEDDINGS and EMBEDDINGS have a row per token."""

MANIFEST_PARAMETER = "manifest"
VARIANT_PARAMETER = "variant"
"""Parameters of the ensembles' configurations; the second also of the encoders that are the whole task."""

OFFSETS_PARAMETER = "offsets"
CHARACTERS, UTF16 = "characters", "utf16"
"""A parameter of requests and its values: what `start` and `end` of the answers count."""

MANIFEST_FILE = "manifest.json"
TOKENIZER_FILE = "tokenizer.json"
ANSWERS_FILE = "answers.json"
"""Files in the version directories. The last, of ensembles: some texts with the answers that the builder got."""

_TOKENIZER, _ENCODER, _POSTPROCESS = "_tokenizer", "_encoder_", "_postprocess"


def tokenizer_model(task: str) -> str:
    """Name of the model that tokenizes the task's texts."""
    return task + _TOKENIZER


def encoder_model(task: str, variant: str) -> str:
    """Name of the model that runs one variant of the task's encoder."""
    return task + _ENCODER + variant


def postprocess_model(task: str) -> str:
    """Name of the model that makes answers of the encoder's outputs."""
    return task + _POSTPROCESS


def variant_ensemble(task: str, variant: str) -> str:
    """Name of the ensemble that answers with one variant; the recommended one answers under the task's own name."""
    return f"{task}_{variant}"


def tokenizer_task(model: str) -> str | None:
    """The task whose tokenizer is called `model`; None for another model."""
    return model.removesuffix(_TOKENIZER) if model.endswith(_TOKENIZER) else None


def encoder_prefix(task: str) -> str:
    """What the names of a task's encoders begin with; the variant's name follows."""
    return task + _ENCODER
