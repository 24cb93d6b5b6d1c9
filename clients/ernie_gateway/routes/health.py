"""`/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from .. import gateway, measures
from ..problems import Problem
from .route import get
from .tasks import json_response

READY_SECONDS = 5.0


async def healthz(_: Request) -> Response:
    """200 while the process answers; says nothing of Triton."""
    return json_response({"status": "ok"})


async def readyz(request: Request) -> Response:
    """200 where Triton answers and has a task ready, else 503."""
    try:
        tasks = await asyncio.wait_for(gateway.of(request).tasks(), READY_SECONDS)
    except (asyncio.TimeoutError, TimeoutError):
        raise Problem(503, "no_server", f"Triton does not answer within {READY_SECONDS:g} s") from None
    if not tasks:
        raise Problem(503, "no_tasks", "Triton answers, and has no task ready")
    return json_response({"status": "ready", "tasks": len(tasks)})


async def metrics(_: Request) -> Response:
    """Counters of all workers, as Prometheus reads them."""
    return Response(measures.render(), media_type=measures.TYPE)


ROUTES = [get("/healthz", healthz), get("/readyz", readyz), get("/metrics", metrics)]
