"""FastAPI and uvicorn around ONNX Runtime, one text a call of the engine: the usual first server."""

from __future__ import annotations

from .base import ModulePeer


class FastApiPeer(ModulePeer):
    """The adapter of `fastapi_app`."""

    name = "fastapi"
    what = "FastAPI + uvicorn + ONNX Runtime, one text a call"
    packages: tuple[str, ...] = ("fastapi", "uvicorn")
    module, path, arguments = "ernie_perf.peers.fastapi_app", "/predict", ("{port}",)
