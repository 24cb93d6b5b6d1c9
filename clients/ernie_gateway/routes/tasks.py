"""`GET /v1/tasks`, `GET /v1/tasks/{task}`, `POST /v1/tasks/{task}`."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from ernie_runtime.json_types import JsonObject
from ernie_triton.tasks import Task

from .. import bodies, gateway
from ..answers import dumps, to_json
from ..gateway import Options
from ..rows import example_value, values_of, wanted_body
from . import stream
from .route import get, post

FIELDS = ("inputs", "variant", "prefix", "dimensions", "offsets")


async def list_tasks(request: Request) -> Response:
    """The tasks that the server has ready."""
    tasks = await gateway.of(request).tasks()
    return json_response({"tasks": [about(task) for task in tasks]})


async def show_task(request: Request) -> Response:
    """One task: inputs, labels, variants, figures, examples."""
    return json_response(about(await gateway.of(request).task(request.path_params["task"])))


async def ask_task(request: Request) -> Response:
    """Ask a task about one item or several, in order; a bad item has an `error` in its place."""
    began = time.perf_counter()
    here = gateway.of(request)
    served = await here.task(request.path_params["task"])
    request.state.task = served.name  # a label of the counters: never a name that no task has
    if stream.is_ndjson(request):
        return await stream.answer(request, here, served)
    example = wanted_body(served)
    body = bodies.fields(await bodies.read(request, here.settings), FIELDS, example)
    if "inputs" not in body:
        raise bodies.wrong("the field 'inputs' is missing", example)
    options = Options(
        variant=bodies.optional_str(body, "variant", example),
        prefix=bodies.optional_str(body, "prefix", example),
        dimensions=bodies.optional_int(body, "dimensions", example),
        offsets=bodies.offsets(body.get("offsets"), example),
    )
    answers = await here.ask(request, served, values_of(body["inputs"]), options)
    if problem := gateway.none_answered(answers):
        raise problem
    return json_response(
        {
            "task": served.name,
            "kind": served.kind,
            "variant": options.variant or served.variant,
            "version": served.version,
            "answers": [to_json(answer) for answer in answers],
            "ms": round((time.perf_counter() - began) * 1000, 3),
        }
    )


def about(task: Task) -> JsonObject:
    """A task, as clients and the page need it."""
    return {
        "name": task.name,
        "kind": task.kind,
        "title": task.title,
        "inputs": [name.lower() for name in task.inputs],
        "labels": task.labels,
        "variant": task.variant,
        "variants": task.variants,
        "version": task.version,
        "metrics": task.metrics,
        "main_metric": task.main_metric,
        "evaluated_on": task.evaluated_on,
        "examples": [example_value(task, number) for number in range(len(task.examples))],
        "dimension": task.dimension,
        "prefixes": list(task.prefixes),
    }


def json_response(value: object) -> Response:
    """200 with JSON."""
    return Response(dumps(value), media_type="application/json")


ROUTES = [get("/v1/tasks", list_tasks), get("/v1/tasks/{task}", show_task), post("/v1/tasks/{task}", ask_task)]
