"""The FastAPI server: `python -m ernie_perf.peers.fastapi_app PORT` serves the case that the environment names."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse

from ernie_perf.peers.standalone import PlainModel, load_case


def make_app() -> FastAPI:
    """One route; its handler runs in the thread pool, so that calls of the engine overlap."""
    model, app = PlainModel(load_case()), FastAPI()
    body = Body(embed=True)

    @app.post("/predict")
    def predict(texts: list[str] = body) -> JSONResponse:
        return JSONResponse(model([texts])[0])  # otherwise FastAPI would inspect every number of a vector

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
