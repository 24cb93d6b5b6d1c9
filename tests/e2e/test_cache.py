"""The response cache of the real server: the same answers to everybody, and repeated texts cost no work."""

from __future__ import annotations

import random
import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from ernie_runtime.steps.pipeline import Pipeline
from ernie_serve.options import ServerOptions
from ernie_serve.server import TritonServer
from ernie_triton import Client
from ernie_triton.replies import Reply

from .test_serving import encoder_counts, expected, real_sentences
from .wire import close, results, text_input

pytestmark = pytest.mark.e2e


def test_repeated_texts_under_concurrency(repository: Path, pipelines: dict[str, Pipeline], tmp_path: Path) -> None:
    texts = real_sentences(24)
    expected_answers = {task: expected(pipelines[task], texts) for task in ("topic", "ner")}
    options = ServerOptions(
        repository=repository, http_port=0, grpc_port=0, metrics_port=0, log_file=tmp_path / "log", cache=1 << 24
    )
    with TritonServer(options) as server:
        with Client(server.grpc_address) as ours:  # answers with and without numbers, of the same texts
            plain = [reply.numeric for reply in ours.stream("topic", texts) if isinstance(reply, Reply)]
            numeric = [reply.numeric for reply in ours.stream("topic", texts, numeric=True) if isinstance(reply, Reply)]
            assert [len(part) for part in (plain, numeric)] == [len(texts)] * 2
            assert not any(plain) and all(set(part) == {"LABEL_ID", "SCORE"} for part in numeric)

        def ask(seed: int) -> list[tuple[str, int, bytes]]:
            generator, replies = random.Random(seed), []
            with grpc.InferenceServerClient(server.grpc_address) as client:
                for _ in range(60):
                    task, i = generator.choice(["topic", "ner"]), generator.randrange(len(texts))
                    reply = client.infer(task, [text_input([texts[i]])])
                    assert close(results(reply)[0], expected_answers[task][i]), texts[i]
                    replies.append((task, i, reply.as_numpy("RESULT")[0, 0]))
            return replies

        with ThreadPoolExecutor(16) as pool:
            answers = [answer for part in pool.map(ask, range(16)) for answer in part]
        with grpc.InferenceServerClient(server.grpc_address) as client:
            rows = encoder_counts(client)[0]
            client.infer("topic", [text_input([texts[0]])])
            assert encoder_counts(client)[0] == rows  # no work
            with pytest.raises(InferenceServerException, match="offsets: this server has a response cache"):
                client.infer("topic", [text_input(["not asked yet"])], parameters={"offsets": "utf16"})
            for _ in range(2):  # an error is not kept for anybody
                with pytest.raises(InferenceServerException, match="item 0: the text is empty"):
                    client.infer("topic", [text_input([""])])
        with urllib.request.urlopen(f"http://{server.metrics_address}/metrics") as reply:
            text = reply.read().decode()
    hits = sum(float(n) for n in re.findall(r"^nv_cache_num_hits_per_model{.*} (\S+)$", text, re.MULTILINE))
    assert len(answers) == 960 and hits > 480
    assert rows < len(answers)  # the windows of so many texts, each worked on a few times at most
