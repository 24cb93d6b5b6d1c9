"""sentence-transformers behind FastAPI and uvicorn, one text a call of PyTorch: its usual first server."""

from __future__ import annotations

from .hugging_face import MODEL, HuggingFacePeer


class SentenceTransformersPeer(HuggingFacePeer):
    """The adapter of `sentence_transformers_app`."""

    name = "sentence-transformers"
    what = "FastAPI + uvicorn + sentence-transformers, the same weights in PyTorch, one text a call"
    packages: tuple[str, ...] = ("fastapi", "uvicorn", "sentence_transformers", "torch")
    module, path = "ernie_perf.peers.sentence_transformers_app", "/predict"
    arguments = ("{port}", f"{{folder}}/{MODEL}")
