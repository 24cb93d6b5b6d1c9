"""Answers as JSON: the RESULT object of a text, with its vectors where the task gives some."""

from __future__ import annotations

from typing import Any

import orjson

from ernie_runtime.json_types import JsonObject
from ernie_triton.results import EmbeddingResult, Result, TextError, TokenEmbeddingsResult


def to_json(result: Result | TextError) -> JsonObject:
    """One answer, as `dumps` takes it."""
    answer = dict(result.raw)
    if isinstance(result, EmbeddingResult):
        answer["embedding"] = result.vector
    elif isinstance(result, TokenEmbeddingsResult):
        answer["embeddings"] = result.vectors
    return answer


def dumps(value: Any, *, line: bool = False) -> bytes:
    """JSON in UTF-8; numpy arrays are lists of numbers."""
    option = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(value, option=option | (orjson.OPT_APPEND_NEWLINE if line else 0))
