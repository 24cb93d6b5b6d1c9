"""`POST /v1/rerank` (Cohere's first shape and Jina's) and `/v2/rerank` (Cohere's second)."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ernie_runtime.json_types import JsonObject
from ernie_triton.results import RankingResult, TextError

from .. import bodies, gateway
from ..gateway import Options
from ..problems import Problem
from .choose import choose
from .route import post
from .tasks import json_response

KIND = "ranking"
WITHOUT_EFFECT = ("max_tokens_per_doc", "max_chunks_per_doc", "priority")
FIELDS = ("model", "query", "documents", "top_n", "return_documents", "variant", *WITHOUT_EFFECT)
EXAMPLE = '{"model": "faq_ranking", "query": "花呗怎么提前还款", "documents": ["怎么关闭花呗", "..."]}'


async def rerank(request: Request) -> Response:
    """The documents that fit a query best, best first. `model` is a ranking task."""
    here = gateway.of(request)
    body = bodies.fields(await bodies.read(request, here.settings), FIELDS, EXAMPLE)
    query, documents = body.get("query"), body.get("documents")
    if not isinstance(query, str):
        raise bodies.wrong(f"query must be a text, not {bodies.json_type(query)}", EXAMPLE)
    texts = [_text(document, i) for i, document in enumerate(_list(documents))]
    with_documents = body.get("return_documents", False)
    if not isinstance(with_documents, bool):
        raise bodies.wrong(f"return_documents must be true or false, not {bodies.json_type(with_documents)}", EXAMPLE)
    top = bodies.optional_int(body, "top_n", EXAMPLE) or len(texts)
    variant = bodies.optional_str(body, "variant", EXAMPLE)
    task = await choose(here, bodies.optional_str(body, "model", EXAMPLE), (KIND,), EXAMPLE)
    request.state.task = task.name
    item = dict(zip((name.lower() for name in task.inputs), (query, texts), strict=True))
    (answer,) = await here.ask(request, task, [item], Options(variant=variant))
    if isinstance(answer, TextError):
        raise Problem(422, "invalid_text", answer.reason, [{"item": 0, "message": answer.reason}])
    assert isinstance(answer, RankingResult)
    results = []
    for candidate in answer.ranking[:top]:
        entry: JsonObject = {"index": candidate.index, "relevance_score": candidate.score}
        if with_documents:
            entry["document"] = {"text": candidate.text}
        results.append(entry)
    return json_response(
        {
            "id": request.state.request_id,
            "model": task.name,
            "results": results,
            "usage": {"total_tokens": answer.tokens},
            "meta": {"api_version": {"version": request.url.path[2]}, "billed_units": {"search_units": 1}},
        }
    )


def _list(documents: Any) -> list[Any]:
    if not isinstance(documents, list) or not documents:
        shown = "an empty list" if documents == [] else bodies.json_type(documents)
        raise bodies.wrong(f"documents must be a list of texts, not {shown}", EXAMPLE)
    return documents


def _text(document: object, index: int) -> str:
    text = document.get("text") if isinstance(document, dict) else document
    if not isinstance(text, str):
        raise bodies.wrong(f'documents[{index}] must be a text or {{"text": ...}}', EXAMPLE)
    return text


ROUTES = [post("/v1/rerank", rerank), post("/v2/rerank", rerank)]
