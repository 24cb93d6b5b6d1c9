"""The encoders' token counters on the metrics endpoint of the real server."""

from __future__ import annotations

import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import tritonclient.grpc as grpc

from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.triton.metrics import PADDING, REAL
from ernie_serve.server import TritonServer

from .test_serving import real_sentences
from .wire import text_input

pytestmark = [pytest.mark.e2e, pytest.mark.timing]
CALLERS = 32


def tokens(server: TritonServer, metric: str, model: str) -> float:
    """A counter of the model; 0 before it was first counted."""
    with urllib.request.urlopen(f"http://{server.metrics_address}/metrics") as reply:
        text = reply.read().decode()
    row = re.search(rf'^{metric}{{model="{model}",version="1"}} (\S+)$', text, re.MULTILINE)
    assert row is not None, f"no {metric} of {model}"
    return float(row[1])


@pytest.mark.parametrize("task", ["topic", "ner"])
def test_little_padding_at_concurrency_32(server: TritonServer, pipelines: dict[str, Pipeline], task: str) -> None:
    model, texts = f"{task}_encoder_fp32", real_sentences(960)
    before = [tokens(server, metric, model) for metric in (REAL, PADDING)]

    def ask(start: int) -> None:
        with grpc.InferenceServerClient(server.grpc_address) as client:
            for text in texts[start::CALLERS]:
                client.infer(task, [text_input([text])])

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(ask, range(CALLERS)))
    real, padding = (tokens(server, m, model) - b for m, b in zip((REAL, PADDING), before, strict=True))
    pipeline = pipelines[task]
    windows = pipeline.kind.documents([(text,) for text in texts], pipeline.tokenizer, pipeline.manifest)[1]
    assert real == sum(len(window.input_ids) for window in windows)
    assert 0 < padding < 0.1 * real
