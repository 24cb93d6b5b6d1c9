"""infinity: FastAPI in front, requests batched for PyTorch, texts of a batch padded to the longest."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import PeerError
from .answers import Answer
from .case import Case, Item
from .hugging_face import MODEL, HuggingFacePeer

BATCH = 32  # texts
NAME = "task"  # what requests call the model
# Its command line takes these two as `--no-...` or not at all, by the version of typer; its environment is one.
SETTINGS = {"INFINITY_MODEL_WARMUP": "false", "INFINITY_BETTERTRANSFORMER": "false"}


class InfinityPeer(HuggingFacePeer):
    """infinity's own server."""

    name = "infinity"
    what = f"infinity, the same weights in PyTorch, batches of up to {BATCH} texts"
    packages: tuple[str, ...] = (
        "infinity_emb",
        "sentence_transformers",
        "torch",
        "typer",
        "orjson",
        "prometheus_fastapi_instrumentator",
    )
    module, path = "infinity_emb.cli", "/embeddings"
    arguments = (
        *("v2", "--model-id", f"{{folder}}/{MODEL}", "--served-model-name", NAME, "--engine", "torch"),
        *("--device", "cpu", "--dtype", "float32", "--batch-size", str(BATCH)),
        *("--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning"),
    )

    def prepare(self, case: Case, folder: Path) -> dict[str, str]:
        """The model, and what infinity takes from the environment."""
        if not case.normalize:
            raise PeerError("always gives vectors of length 1; the task has normalize = false")
        return {**super().prepare(case, folder), **SETTINGS}

    def body(self, item: Item) -> bytes:
        """As OpenAI's embeddings API has it."""
        return json.dumps({"model": NAME, "input": list(item)}, ensure_ascii=False).encode()

    def answer(self, body: bytes) -> Answer:
        """Of the one text."""
        return {"embedding": json.loads(body)["data"][0]["embedding"]}
