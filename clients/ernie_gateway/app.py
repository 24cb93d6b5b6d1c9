"""The application: routes, the edge around them, one connection to Triton a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp

from ernie_runtime.command_line import did_you_mean
from ernie_triton import AsyncClient, Gathering
from ernie_triton.connection import Retry

from . import gateway, measures, openapi
from .answers import dumps
from .edge import Edge
from .gateway import Gateway
from .problems import Problem
from .proxy.listener import listening
from .routes import embeddings, health, page, rerank, tasks
from .routes.route import get
from .settings import Settings
from .spans import Spans
from .stopping import Stopping

NO_RETRY = Retry(attempts=1)  # load is shed at once: the caller is told when to come back
ROUTES = [*tasks.ROUTES, *embeddings.ROUTES, *rerank.ROUTES, *health.ROUTES, *page.ROUTES]


def create(settings: Settings) -> ASGIApp:
    """The application of one worker."""
    stopping = Stopping()
    spans = Spans(settings.trace, settings.trace_every) if settings.trace else None

    @asynccontextmanager
    async def connected(app: Starlette) -> AsyncIterator[None]:
        headers = dict(settings.triton_headers)
        gather = Gathering(in_flight=settings.gather, observe=measures.sent) if settings.gather else False
        async with AsyncClient(
            settings.url, timeout=settings.timeout, retry=NO_RETRY, headers=headers, gather=gather
        ) as client:
            app.state.gateway = Gateway(settings=settings, client=client)
            with nullcontext() if spans is None else spans.posting():
                async with nullcontext() if settings.grpc_port is None else listening(settings, stopping):
                    with stopping.at_signals():
                        yield

    app = Starlette(
        routes=[*ROUTES, get("/openapi.json", _openapi)],
        lifespan=connected,
        exception_handlers={HTTPException: _unknown_address, Problem: _problem},
    )
    app.router.redirect_slashes = False
    wrapped: ASGIApp = Edge(app, settings, spans, stopping)
    if settings.origins:
        wrapped = CORSMiddleware(
            wrapped,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-request-id"],
            expose_headers=["x-request-id", "retry-after"],
        )
    return wrapped


def from_environment() -> ASGIApp:
    """For uvicorn, which starts workers by this name."""
    return create(Settings.from_environment())


async def _openapi(request: Request) -> Response:
    """With the server's own tasks and examples, where it answers."""
    try:
        served = await gateway.of(request).tasks()
    except Problem:
        served = []
    return tasks.json_response(openapi.document(served))


async def _problem(request: Request, problem: Exception) -> Response:
    """A problem as a response; the edge sees it, too."""
    assert isinstance(problem, Problem)
    request.state.problem = problem
    body = dumps(problem.to_json(request.state.request_id))
    return Response(body, problem.status, dict(problem.headers), "application/json")


async def _unknown_address(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 405:
        fitting = [route for route in ROUTES if route.matches(request.scope)[0] is not Match.NONE]
        allowed = ", ".join(sorted({method for route in fitting for method in route.methods or ()} - {"HEAD"}))
        message = f"{request.method} is not for {path}; {allowed} is"
        return await _problem(request, Problem(405, "wrong_method", message, headers={"allow": allowed}))
    if error.status_code == 404:
        message = f"there is no {path}{did_you_mean(path, [route.path for route in ROUTES])}; /openapi.json has all"
        return await _problem(request, Problem(404, "unknown_address", message))
    return await _problem(request, Problem(error.status_code, "refused", str(error.detail)))
