"""What the clients of PaddleNLP's Triton examples do, against the real server and ensembles made by --compat."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from ernie_builders import build_all
from ernie_serve.options import ServerOptions
from ernie_serve.server import TritonServer
from ernie_triton import Client

from .conftest import TOPICS, topic_rows
from .wire import results, text_input

pytestmark = pytest.mark.e2e

PAIRS = """
[tasks.same]
kind = "pair_classification"
title = "Whether two texts are of one topic, made up for the tests"
labels = ["0", "1"]
examples = [["球队赢得比赛", "银行下调利率"]]
[tasks.same.limits]
max_length = 32
doc_stride = 20
max_chars = 2000
[tasks.same.data]
format = "clue_json"
folder = "same"
train = "train.json"
dev = "dev.json"
fields = { text = "sentence1", text_pair = "sentence2", label = "label" }
[tasks.same.train]
epochs = 1
batch_size = 16
learning_rate = 5e-3
evals_per_epoch = 1
"""


class PaddleNLPClient:
    """Sends what PaddleNLP's client sends: version "1", inputs in metadata order, every output requested."""

    def __init__(self, address: str, model: str) -> None:
        self.client, self.model, self.version = grpc.InferenceServerClient(address), model, "1"
        assert self.client.is_server_live() and self.client.is_server_ready()
        assert self.client.is_model_ready(model, self.version)
        self.config = self.client.get_model_config(model, self.version).config
        metadata = self.client.get_model_metadata(model, self.version)
        self.inputs = [tensor.name for tensor in metadata.inputs]
        self.outputs = [tensor.name for tensor in metadata.outputs]

    def run(self, *columns: Sequence[str]) -> dict[str, np.ndarray]:
        """Output name -> array; a column of texts an input."""
        tensors = [text_input(column, self.inputs[i]) for i, column in enumerate(columns)]
        outputs = [grpc.InferRequestedOutput(name) for name in self.outputs]
        reply = self.client.infer(self.model, tensors, model_version=self.version, outputs=outputs, client_timeout=120)
        return {name: reply.as_numpy(name) for name in self.outputs}


@pytest.fixture(scope="module")
def arguments(build_arguments: list[str], repository: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command line of the tiny tasks with a separate repository; their stages are in the cache."""
    assert repository.is_dir()
    return [*build_arguments[:-1], str(tmp_path_factory.mktemp("compat") / "repository")]


@pytest.fixture(scope="module")
def server(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """Two tasks and both ensembles, in a server that loads models again when told to."""
    assert build_all.main([*arguments, "--compat", "paddlenlp"]) == 0
    options = ServerOptions(
        repository=Path(arguments[-1]),
        http_port=0,
        grpc_port=0,
        metrics_port=0,
        log_file=tmp_path_factory.mktemp("compat_log") / "triton.log",
        extra=("--model-control-mode=explicit", "--load-model=*"),
        cache=1 << 24,
    )
    with TritonServer(options) as running:
        yield running


@pytest.fixture(scope="module")
def seqcls(server: TritonServer) -> PaddleNLPClient:
    return PaddleNLPClient(server.grpc_address, "ernie_seqcls")


@pytest.fixture(scope="module")
def tokencls(server: TritonServer) -> PaddleNLPClient:
    return PaddleNLPClient(server.grpc_address, "ernie_tokencls")


def texts_of(server: TritonServer, task: str, texts: Sequence[str]) -> Any:
    """The task's own answer."""
    with grpc.InferenceServerClient(server.grpc_address) as client:
        return client.infer(task, [text_input(texts)])


def test_labels(server: TritonServer, seqcls: PaddleNLPClient) -> None:
    assert (seqcls.inputs, seqcls.outputs, seqcls.config.max_batch_size) == (["INPUT"], ["label", "confidence"], 64)
    rows = topic_rows(90, seed=77)
    labels = np.array([list(TOPICS).index(row["label"]) for row in rows])
    right = 0
    for start in range(0, 90, 32):
        batch = [row["text"] for row in rows[start : start + 32]]
        outputs = seqcls.run(batch)
        assert (outputs["label"].dtype, outputs["label"].shape) == (np.int64, (len(batch),))
        assert (outputs["confidence"].dtype, outputs["confidence"].shape) == (np.float32, (len(batch),))
        reply = texts_of(server, "topic", batch)
        assert outputs["label"].tolist() == reply.as_numpy("LABEL_ID")[:, 0].tolist()
        assert np.allclose(outputs["confidence"], reply.as_numpy("SCORE")[:, 0], atol=1e-5)
        right += int(np.sum(labels[start : start + 32] == outputs["label"]))
    assert right >= 80
    assert seqcls.run(["球队比赛"])["label"].shape == (1,)


def test_entities(server: TritonServer, tokencls: PaddleNLPClient) -> None:
    assert (tokencls.inputs, tokencls.outputs) == (["INPUT"], ["OUTPUT"])
    sample = json.loads((Path(server.options.repository) / "ner/1/manifest.json").read_text("utf-8"))["examples"]
    texts = [
        sample[0][0],
        '江泽民"引号"\\反斜\n杠😀江泽民',
        "。",
        "中国外交部发言人朱邦造在北京宣布，" * 6,
        "江泽民、李鹏、朱镕基在北京会见了法国总统希拉克",
    ]
    literals = tokencls.run(texts)["OUTPUT"]
    assert literals.shape == (5,)
    total = 0
    for text, raw, result in zip(texts, literals, results(texts_of(server, "ner", texts)), strict=True):
        entities = ast.literal_eval(raw.decode("utf-8"))
        assert entities == json.loads(raw)
        assert [(text[e["pos"][0] : e["pos"][1] + 1], e["entity"], e["label"]) for e in entities] == [
            (e["text"], e["text"], e["label"]) for e in result["entities"]
        ]
        assert [e["pos"] for e in entities] == [[e["start"], e["end"] - 1] for e in result["entities"]]
        total += len(entities)
    assert total >= 5


def test_the_response_cache_is_the_tasks_own(server: TritonServer, seqcls: PaddleNLPClient) -> None:
    """It keeps the outputs that the first request of a text asked for."""
    texts = ["球队在球队里比赛", "银行银行"]
    first = seqcls.run(texts)
    reply = texts_of(server, "topic", texts)
    assert reply.as_numpy("RESULT").shape == (2, 1)
    assert reply.as_numpy("LABEL_ID")[:, 0].tolist() == first["label"].tolist()


def test_a_text_that_cannot_be_answered(seqcls: PaddleNLPClient, tokencls: PaddleNLPClient) -> None:
    labels = seqcls.run(["球队比赛", "", "银行利率"])
    assert labels["label"].tolist()[::2] == [0, 1] and labels["label"][1] == -1 and labels["confidence"][1] == 0
    assert tokencls.run(["好", " ", "好"])["OUTPUT"][1] == b"[]"
    with pytest.raises(InferenceServerException, match=r"item 0: .*empty.*item 1: .*spaces") as raised:
        seqcls.run(["", " "])
    assert raised.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_more_texts_than_theirs_take(seqcls: PaddleNLPClient) -> None:
    assert seqcls.run(["球队比赛"] * 64)["label"].shape == (64,)
    with pytest.raises(InferenceServerException, match="batch-size must be <= 64"):
        seqcls.run(["球队比赛"] * 65)


def test_our_client_takes_them_for_no_tasks(server: TritonServer) -> None:
    with Client(server.grpc_address) as client:
        assert [task.name for task in client.tasks()] == ["ner", "topic"]


def test_a_pair_task_takes_the_name(server: TritonServer, arguments: list[str], tmp_path: Path) -> None:
    """Last: `ernie_seqcls` is replaced, still as version 1, and loaded again."""
    write_pairs(tmp_path)
    more = ["--tasks-file", str(tmp_path / "tasks.toml"), "--data-dir", str(tmp_path / "data")]
    assert build_all.main([*arguments, *more, "--compat", "paddlenlp:ernie_seqcls=same"]) == 0
    with grpc.InferenceServerClient(server.grpc_address) as client:
        client.load_model("ernie_seqcls")
        theirs = PaddleNLPClient(server.grpc_address, "ernie_seqcls")
        assert (theirs.inputs, theirs.outputs) == (["INPUT_0", "INPUT_1"], ["label", "confidence"])
        left, right = ["球队比赛", "银行利率", "餐厅厨师"], ["冠军进球", "餐厅味道", "米饭面条"]
        outputs = theirs.run(left, right)
        reply = client.infer("same", [text_input(left), text_input(right, "TEXT_PAIR")])
    assert outputs["label"].shape == outputs["confidence"].shape == (3,)
    assert outputs["label"].tolist() == reply.as_numpy("LABEL_ID")[:, 0].tolist()
    assert np.allclose(outputs["confidence"], reply.as_numpy("SCORE")[:, 0], atol=1e-5)
    versions = [p.name for p in Path(arguments[-1], "ernie_seqcls").iterdir() if p.name.isdigit()]
    assert versions == ["1"]


def write_pairs(folder: Path) -> None:
    """The task `same` and its data."""
    (folder / "tasks.toml").write_text(PAIRS, encoding="utf-8")
    (folder / "data" / "same").mkdir(parents=True)
    for split, count in (("train", 64), ("dev", 16)):
        rows = topic_rows(2 * count, seed=count)
        lines = [
            {"sentence1": a["text"], "sentence2": b["text"], "label": str(int(a["label"] == b["label"]))}
            for a, b in zip(rows[::2], rows[1::2], strict=True)
        ]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / "data" / "same" / f"{split}.json").write_text(text, encoding="utf-8")
