"""The servers in processes of their own, by name. Their code is in the *_app modules, infinity's in its own package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..errors import PeerError
from .base import ServerSpec
from .hugging_face import MODEL, prepare_model
from .standalone import EMBEDDING, Answer, Case, Item

BATCH_TEXTS = 32  # at most, of the servers that batch requests
BATCH_WAIT_MS = 5  # that LitServe and mosec wait for a batch to fill
INFINITY_MODEL = "task"  # what requests to infinity call the model
# infinity's command line takes these two as `--no-...` or not at all, depending on typer's version; its environment is
# the same for all.
INFINITY_SETTINGS = {"INFINITY_MODEL_WARMUP": "false", "INFINITY_BETTERTRANSFORMER": "false"}


def _prepare_infinity(case: Case, folder: Path) -> Mapping[str, str]:
    if not case.normalize:
        raise PeerError("always gives vectors of length 1; the task has normalize = false")
    return {**prepare_model(case, folder), **INFINITY_SETTINGS}


def _infinity_body(item: Item) -> bytes:
    """As OpenAI's embeddings API has it."""
    return json.dumps({"model": INFINITY_MODEL, "input": list(item)}, ensure_ascii=False).encode()


def _infinity_answer(body: bytes) -> Answer:
    return {"embedding": json.loads(body)["data"][0]["embedding"]}


FASTAPI = ServerSpec(
    name="fastapi",
    description="FastAPI + uvicorn + ONNX Runtime, one text a call",
    packages=("fastapi", "uvicorn"),
    module="ernie_perf.peers.fastapi_app",
)
LITSERVE = ServerSpec(
    name="litserve",
    description=f"LitServe, batches of up to {BATCH_TEXTS} texts within {BATCH_WAIT_MS} ms",
    packages=("litserve",),
    module="ernie_perf.peers.litserve_app",
)
MOSEC = ServerSpec(
    name="mosec",
    description=f"mosec, batches of up to {BATCH_TEXTS} texts within {BATCH_WAIT_MS} ms",
    packages=("mosec",),
    module="ernie_perf.peers.mosec_app",
    arguments=("--address", "127.0.0.1", "--port", "{port}", "--timeout", "60000", "--log-level", "warning"),
    path="/inference",
)
INFINITY = ServerSpec(
    name="infinity",
    description=f"infinity, the same weights in PyTorch, batches of up to {BATCH_TEXTS} texts",
    packages=(
        "infinity_emb",
        "sentence_transformers",
        "torch",
        "typer",
        "orjson",
        "prometheus_fastapi_instrumentator",
    ),
    extra="peers-embedding",
    kinds=(EMBEDDING,),
    module="infinity_emb.cli",
    arguments=(
        *("v2", "--model-id", f"{{folder}}/{MODEL}", "--served-model-name", INFINITY_MODEL, "--engine", "torch"),
        *("--device", "cpu", "--dtype", "float32", "--batch-size", str(BATCH_TEXTS)),
        *("--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning"),
    ),
    path="/embeddings",
    prepare=_prepare_infinity,
    body=_infinity_body,
    answer=_infinity_answer,
)
SENTENCE_TRANSFORMERS = ServerSpec(
    name="sentence-transformers",
    description="FastAPI + uvicorn + sentence-transformers, the same weights in PyTorch, one text a call",
    packages=("fastapi", "uvicorn", "sentence_transformers", "torch"),
    extra="peers-embedding",
    kinds=(EMBEDDING,),
    module="ernie_perf.peers.sentence_transformers_app",
    arguments=("{port}", f"{{folder}}/{MODEL}"),
    prepare=prepare_model,
)
SERVERS = (FASTAPI, LITSERVE, MOSEC, INFINITY, SENTENCE_TRANSFORMERS)
