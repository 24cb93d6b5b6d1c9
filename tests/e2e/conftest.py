"""A tiny model of two tasks, built by the builder's own command line, and the real server on it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ernie_builders import build_all
from ernie_builders.checkpoints.checkpoint import write_checkpoint
from ernie_builders.config.tasks import ASSETS
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_serve.options import ServerOptions
from ernie_serve.server import TritonServer

from ..shared import made_once
from . import kinds

TOPICS = {
    "sport": ["球队", "比赛", "冠军", "进球", "联赛", "教练"],
    "money": ["股票", "基金", "银行", "利率", "投资", "市场"],
    "food": ["米饭", "面条", "味道", "餐厅", "厨师", "蔬菜"],
}
TASKS = """
[tasks.topic]
kind = "sequence_classification"
title = "Topics, made up for the tests"
labels = ["sport", "money", "food"]
examples = ["球队赢得比赛", "银行下调利率"]
[tasks.topic.limits]
max_length = 32
doc_stride = 20
max_chars = 2000
[tasks.topic.data]
format = "clue_json"
folder = "topic"
train = "train.json"
dev = "dev.json"
fields = { text = "text", label = "label" }
[tasks.topic.train]
epochs = 6
batch_size = 16
learning_rate = 5e-3
dropout = 0.0
evals_per_epoch = 1

[tasks.ner]
kind = "token_classification"
title = "Entities, a few real sentences"
labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]
examples = ["中共中央致中国致公党十一大的贺词"]
[tasks.ner.limits]
max_length = 48
doc_stride = 32
max_chars = 2000
[tasks.ner.data]
format = "bio_columns"
folder = "ner"
train = "train.txt"
dev = "dev.txt"
[tasks.ner.train]
epochs = 8
batch_size = 16
learning_rate = 4e-3
patience = 8
dropout = 0.0
evals_per_epoch = 1
[tasks.ner.serving]
calls = 2
"""


def topic_rows(count: int, seed: int) -> list[dict[str, str]]:
    """Made-up sentences of a topic's words among common ones."""
    generator = random.Random(seed)
    common = ["今天", "我们", "觉得", "非常", "一个", "现在", "可以", "没有"]
    rows = []
    for _ in range(count):
        label = generator.choice(list(TOPICS))
        words = generator.choices(common, k=generator.randint(1, 8)) + generator.choices(TOPICS[label], k=2)
        generator.shuffle(words)
        rows.append({"text": "".join(words), "label": label})
    return rows


def write_base_model(folder: Path, hidden: int = 32, layers: int = 2, heads: int = 2, seed: int = 0) -> None:
    """A random ERNIE encoder under PaddleNLP's names, with the embedded vocabulary."""
    generator = np.random.default_rng(seed)
    tokenizer = ErnieTokenizer.from_vocab(ASSETS / "encoder" / "vocab.txt")
    size = tokenizer.vocab_size
    shapes = {"word": (size, hidden), "position": (64, hidden), "token_type": (4, hidden), "task_type": (3, hidden)}
    weights = {f"ernie.embeddings.{name}_embeddings.weight": generator.normal(0, 0.1, s) for name, s in shapes.items()}

    def norm(name: str) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = np.ones(hidden), np.zeros(hidden)

    def linear(name: str, rows: int, columns: int) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = (
            generator.normal(0, 0.1, (rows, columns)),
            np.zeros(columns),
        )

    norm("ernie.embeddings.layer_norm")
    for i in range(layers):
        layer = f"ernie.encoder.layers.{i}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{layer}.self_attn.{part}", hidden, hidden)
        linear(f"{layer}.linear1", hidden, 2 * hidden)
        linear(f"{layer}.linear2", 2 * hidden, hidden)
        norm(f"{layer}.norm1")
        norm(f"{layer}.norm2")
    config = {
        "vocab_size": size,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 2 * hidden,
        "max_position_embeddings": 64,
        "type_vocab_size": 4,
        "task_type_vocab_size": 3,
        "use_task_id": True,
    }
    write_checkpoint(folder, config, {k: v.astype(np.float32) for k, v in weights.items()}, tokenizer)


def arguments(inputs: Path, outputs: Path) -> list[str]:
    """The command line that builds both tasks."""
    words = ["--tasks-file", str(inputs / "tasks.toml"), "--profile", "full", "--data-dir", str(inputs / "data")]
    words += ["--base-model", str(inputs / "base"), "--cache", str(outputs / "build")]
    return [*words, "--output", str(outputs / "repository")]


def build(root: Path) -> None:
    """Data of both tasks, and the tasks trained, exported, evaluated and published."""
    write_base_model(root / "base")
    (root / "tasks.toml").write_text(TASKS, encoding="utf-8")
    for split, count in (("train", 300), ("dev", 60)):
        path = root / "data" / "topic" / f"{split}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = topic_rows(count, seed=count)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        sample = ASSETS / "samples" / "msra_ner" / f"{split}.txt"
        (root / "data" / "ner").mkdir(exist_ok=True)
        (root / "data" / "ner" / f"{split}.txt").write_bytes(sample.read_bytes())
    assert build_all.main(arguments(root, root)) == 0


@pytest.fixture(scope="session")
def build_arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command line that builds both tasks; the model repository is what follows --output. All is in the cache."""
    inputs, outputs = made_once("tiny", build, tmp_path_factory), tmp_path_factory.mktemp("tiny")
    for name in ("build", "repository"):
        shutil.copytree(inputs / name, outputs / name, symlinks=True)
    return arguments(inputs, outputs)


@pytest.fixture(scope="session")
def repository(build_arguments: list[str]) -> Path:
    """Both tasks, trained, exported, evaluated and published."""
    return Path(build_arguments[-1])


@pytest.fixture(scope="session")
def server(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """The real tritonserver on free ports, ragged configuration. It refuses no load: a busy machine is no fault."""
    log = tmp_path_factory.mktemp("server") / "triton.log"
    with TritonServer(
        ServerOptions(repository=repository, http_port=0, grpc_port=0, metrics_port=0, log_file=log, bounded=False)
    ) as running:
        yield running


@pytest.fixture(scope="session")
def pipelines(repository: Path) -> dict[str, Pipeline]:
    """The same tasks in this process: what the server must answer."""
    return {task: Pipeline.load(repository, task) for task in ("topic", "ner")}


def build_kinds(root: Path) -> None:
    """The encoder and the tasks of kinds.py."""
    write_base_model(root / "base", layers=1)
    kinds.build(root)


@pytest.fixture(scope="session")
def kinds_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task of every kind besides those of `repository`."""
    return made_once("kinds", build_kinds, tmp_path_factory) / "repository"


@pytest.fixture(scope="session")
def every_kind(kinds_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """The real tritonserver on them."""
    log = tmp_path_factory.mktemp("kinds-server") / "triton.log"
    with TritonServer(
        ServerOptions(repository=kinds_repository, http_port=0, grpc_port=0, metrics_port=0, log_file=log)
    ) as running:
        yield running
