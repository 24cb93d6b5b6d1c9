"""The sentence-transformers server: `python -m ernie_perf.peers.sentence_transformers_app PORT MODEL`."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse
from sentence_transformers import SentenceTransformer


def make_app(folder: str) -> FastAPI:
    """One route; its handler runs in the thread pool, so that calls of PyTorch overlap."""
    model, app = SentenceTransformer(folder, device="cpu", local_files_only=True), FastAPI()
    body = Body(embed=True)

    @app.post("/predict")
    def predict(texts: list[str] = body) -> JSONResponse:
        return JSONResponse({"embedding": model.encode(texts, show_progress_bar=False)[0].tolist()})

    return app


if __name__ == "__main__":
    app = make_app(sys.argv[2])
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
