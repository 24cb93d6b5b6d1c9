"""`POST /v1/embeddings` and `GET /v1/models`, in OpenAI's shapes."""

from __future__ import annotations

import base64

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from ernie_triton.results import EmbeddingResult, TextError
from ernie_triton.tasks import Task

from .. import bodies, gateway
from ..gateway import Gateway, Options
from ..problems import Problem
from .choose import choose
from .route import get, post
from .tasks import json_response

FIELDS = ("input", "model", "encoding_format", "dimensions", "user", "prefix", "variant")
KIND = "embedding"
EXAMPLE = '{"model": "sentence_embedding", "input": ["今天股市大涨"]}'


async def list_models(request: Request) -> Response:
    """The tasks, as OpenAI's clients list models."""
    tasks = await gateway.of(request).tasks()
    models = [{"id": task.name, "object": "model", "created": 0, "owned_by": "ernie-triton"} for task in tasks]
    return json_response({"object": "list", "data": models})


async def embed(request: Request) -> Response:
    """Vectors of texts, as numbers or base64 (float32, little endian). `model` is an embedding task."""
    here = gateway.of(request)
    body = bodies.fields(await bodies.read(request, here.settings), FIELDS, EXAMPLE)
    as_base64 = _encoding(bodies.optional_str(body, "encoding_format", EXAMPLE))
    texts = _texts(body.get("input"))
    task = await choose(here, bodies.optional_str(body, "model", EXAMPLE), (KIND,), EXAMPLE)
    request.state.task = task.name
    options = Options(
        variant=bodies.optional_str(body, "variant", EXAMPLE),
        prefix=bodies.optional_str(body, "prefix", EXAMPLE),
        dimensions=bodies.optional_int(body, "dimensions", EXAMPLE),
    )
    data, tokens = [], 0
    for index, vector, count in await _vectors(request, here, task, texts, options):
        shown = base64.b64encode(vector.astype("<f4").tobytes()).decode() if as_base64 else vector
        data.append({"object": "embedding", "index": index, "embedding": shown})
        tokens += count
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_response({"object": "list", "data": data, "model": task.name, "usage": usage})


async def _vectors(
    request: Request, here: Gateway, task: Task, texts: list[str], options: Options
) -> list[tuple[int, np.ndarray, int]]:
    answers = await here.ask(request, task, texts, options)
    bad = [{"item": i, "message": answer.reason} for i, answer in enumerate(answers) if isinstance(answer, TextError)]
    if bad:  # the shape has no place for them
        raise Problem(422, "invalid_text", f"input[{bad[0]['item']}]: {bad[0]['message']}", bad)
    return [(i, a.vector, a.tokens) for i, a in enumerate(answers) if isinstance(a, EmbeddingResult)]


def _encoding(name: str | None) -> bool:
    if name not in (None, "float", "base64"):
        raise bodies.wrong(f"encoding_format is {name!r}", 'encoding_format "float" or "base64"')
    return name == "base64"


def _texts(value: object) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise bodies.wrong(f"input must be a text or a list of texts, not {_described(value)}", EXAMPLE)
    for index, text in enumerate(texts):
        if isinstance(text, int | list):
            hint = "texts, not token ids (LangChain: check_embedding_ctx_length=False)"
            raise bodies.wrong(f"input[{index}] is a token id or a list of them", hint)
        if not isinstance(text, str):
            raise bodies.wrong(f"input[{index}] must be a text, not {bodies.json_type(text)}", EXAMPLE)
    return texts


def _described(value: object) -> str:
    return "an empty list" if value == [] else bodies.json_type(value)


ROUTES = [get("/v1/models", list_models), post("/v1/embeddings", embed)]
