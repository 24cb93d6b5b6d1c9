"""The OpenAPI document: written once here, with the server's tasks and their own examples put in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ernie_runtime.json_types import JsonObject
from ernie_triton.tasks import Task
from ernie_triton.version import version

from .routes import embeddings, rerank
from .rows import example_value

JSON, NDJSON = "application/json", "application/x-ndjson"
LIST_EXAMPLES = 3
REFUSALS = {
    400: "not JSON",
    401: "an API key is needed, or not known",
    404: "no such task",
    408: "the body did not arrive in time",
    413: "too many bytes or items",
    422: "JSON that does not fit, or no item can be answered",
    429: "too many requests in hand: try again after Retry-After",
    502: "Triton failed",
    503: "Triton does not answer: try again after Retry-After",
    504: "Triton did not answer in time",
}


def document(tasks: Sequence[Task]) -> JsonObject:
    """The document for a server with these tasks."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "ERNIE on Triton", "version": version(), "description": (__doc__ or "").split(":")[0]},
        "security": [{}, {"key": []}],
        "paths": {
            "/v1/tasks": {"get": _get("The tasks that the server has ready", _object("TaskList"))},
            "/v1/tasks/{task}": {
                "parameters": [_task_parameter(tasks)],
                "get": _get("One task", _object("Task"), 404),
                "post": _ask(tasks),
            },
            "/v1/models": {"get": _get("The tasks, as OpenAI's clients list models", _object("ModelList"))},
            "/v1/embeddings": {"post": _post("Vectors of texts (OpenAI)", "Embeddings", _embedding_example(tasks))},
            "/v1/rerank": {"post": _post("Rank documents (Cohere v1, Jina)", "Rerank", _rerank_example(tasks))},
            "/v2/rerank": {"post": _post("Rank documents (Cohere v2)", "Rerank", _rerank_example(tasks))},
            "/healthz": {"get": _get("The process answers", {"type": "object"}, only=())},
            "/readyz": {"get": _get("Triton answers and has a task ready", {"type": "object"}, only=(503,))},
            "/metrics": {"get": _metrics()},
        },
        "components": {"schemas": _schemas(tasks), "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _schemas(tasks: Sequence[Task]) -> JsonObject:
    text = {"type": "string"}
    texts = {"type": "array", "items": text, "minItems": 1}
    item = {
        "description": "A text; for several inputs an object with their names, or a list of strings",
        "oneOf": [text, {"type": "array", "items": {"oneOf": [text, texts]}}, {"type": "object"}],
    }
    options: JsonObject = {"variant": _nullable("string"), "dimensions": _nullable("integer", minimum=1)}
    answers = {"type": "array", "items": {"type": "object"}}
    return {
        "TaskRequest": _strict(
            {
                "inputs": {"oneOf": [text, {"type": "array", "items": item}, {"type": "object"}]},
                **options,
                "prefix": _nullable("string"),
                "offsets": {"enum": ["characters", "utf16", None]},
            },
            "inputs",
        ),
        "TaskReply": _shape(
            task=text, kind=text, variant=text, version={"type": "integer"}, answers=answers, ms={"type": "number"}
        ),
        "Task": _shape(name=text, kind=text, title=text, inputs=texts, variants=texts, examples={"type": "array"}),
        "TaskList": _shape(tasks={"type": "array", "items": _object("Task")}),
        "ModelList": _shape(object=text, data=answers),
        "EmbeddingsRequest": _strict(
            {
                "input": {"oneOf": [text, texts]},
                "model": _nullable("string"),
                "encoding_format": {"enum": ["float", "base64", None]},
                "user": {},
                "prefix": _nullable("string"),
                **options,
            },
            "input",
        ),
        "EmbeddingsReply": _shape(object=text, data=answers, model=text, usage={"type": "object"}),
        "RerankRequest": _strict(
            {
                "query": text,
                "documents": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"oneOf": [text, {"type": "object", "properties": {"text": text}, "required": ["text"]}]},
                },
                "model": _nullable("string"),
                "top_n": _nullable("integer", minimum=1),
                "return_documents": {"type": "boolean"},
                "variant": _nullable("string"),
                **{name: {"description": "taken, without effect"} for name in rerank.WITHOUT_EFFECT},
            },
            "query",
            "documents",
        ),
        "RerankReply": _shape(id=text, model=text, results=answers, usage={"type": "object"}, meta={"type": "object"}),
        "Error": _shape(error=_shape(message=text, type=text, code=text, request_id=text)),
    }


def _ask(tasks: Sequence[Task]) -> JsonObject:
    examples: dict[str, Any] = {}
    for task in tasks:
        values = [example_value(task, number) for number in range(min(len(task.examples), LIST_EXAMPLES))]
        examples[task.name] = {"summary": task.title, "value": {"inputs": values}}
    lines = {"type": "string", "description": "one item a line, each a JSON value; answers come back line by line"}
    content = {
        JSON: {"schema": _object("TaskRequest"), **({"examples": examples} if examples else {})},
        NDJSON: {"schema": lines},
    }
    reply = {JSON: {"schema": _object("TaskReply")}, NDJSON: {"schema": {"type": "string"}}}
    return {
        "summary": "Ask a task about one item or several",
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "an answer an item, in order", "content": reply}, **_refusals(*REFUSALS)},
    }


def _post(summary: str, name: str, example: JsonObject | None) -> JsonObject:
    content: JsonObject = {"schema": _object(f"{name}Request"), **({"example": example} if example else {})}
    reply = {"description": "the answer", "content": {JSON: {"schema": _object(f"{name}Reply")}}}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {JSON: content}},
        "responses": {"200": reply, **_refusals(*REFUSALS)},
    }


def _get(summary: str, schema: JsonObject, *more: int, only: Sequence[int] = (401, 429, 502, 503, 504)) -> JsonObject:
    ok = {"description": "the answer", "content": {JSON: {"schema": schema}}}
    return {"summary": summary, "responses": {"200": ok, **_refusals(*only, *more)}}


def _metrics() -> JsonObject:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {"summary": "Counters for Prometheus", "responses": {"200": {"description": "text", "content": content}}}


def _refusals(*statuses: int) -> JsonObject:
    error = {JSON: {"schema": _object("Error")}}
    return {str(status): {"description": REFUSALS[status], "content": error} for status in statuses}


def _task_parameter(tasks: Sequence[Task]) -> JsonObject:
    schema: JsonObject = {"type": "string", "minLength": 1, "pattern": "^[^/?#]+$"}
    example = {"example": tasks[0].name} if tasks else {}
    return {"name": "task", "in": "path", "required": True, "schema": schema, **example}


def _embedding_example(tasks: Sequence[Task]) -> JsonObject | None:
    for task in tasks:
        if task.kind == embeddings.KIND and task.examples:
            return {"model": task.name, "input": [parts[0] for parts in task.examples[:LIST_EXAMPLES]]}
    return None


def _rerank_example(tasks: Sequence[Task]) -> JsonObject | None:
    for task in tasks:
        if task.kind == rerank.KIND and isinstance(item := example_value(task), dict):
            query, documents = item.values()
            return {"model": task.name, "query": query, "documents": documents}
    return None


def _object(name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{name}"}


def _shape(**properties: JsonObject) -> JsonObject:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _strict(properties: JsonObject, *required: str) -> JsonObject:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _nullable(name: str, **more: object) -> JsonObject:
    return {"type": [name, "null"], **more}
