"""The FastAPI server: `python -m perf.peers.fastapi_app PORT` serves the case that the environment names."""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from fastapi import Body, FastAPI

from perf.peers.plain import PlainClassifier, load


def make_app() -> FastAPI:
    """One route; its handler runs in the thread pool, so that calls of the engine overlap."""
    classifier, app = PlainClassifier(load()), FastAPI()
    body = Body(embed=True)

    @app.post("/predict", response_model=None)
    def predict(texts: list[str] = body) -> dict[str, Any]:
        return classifier([texts])[0]

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
