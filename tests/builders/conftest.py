"""A tiny base model, small separable data and tasks over them, and builds in this process."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from builders import build_all
from builders.config import ASSETS
from ernie_runtime.manifest import Label, Limits, Manifest, Variant

Weights = dict[str, np.ndarray]
ENTRIES = 400
HIDDEN, LAYERS, HEADS, INNER = 32, 2, 2, 64
CONFIG: dict[str, Any] = {
    "vocab_size": ENTRIES,
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "hidden_act": "gelu",
    "max_position_embeddings": 64,
    "type_vocab_size": 4,
    "task_type_vocab_size": 3,
    "use_task_id": True,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "model_type": "ernie",
}
TASKS = """
[tasks.topics]
kind = "sequence_classification"
title = "Topics"
labels = ["north", "south", "west"]
examples = ["的一不是", "有人了在用"]
[tasks.topics.limits]
max_length = 32
doc_stride = 24
[tasks.topics.data]
format = "clue_json"
folder = "topics"
train = "train.json"
dev = "dev.json"
fields = { text = "sentence", label = "label" }
[tasks.topics.train]
epochs = 2
batch_size = 16
learning_rate = 5e-3

[tasks.names]
kind = "token_classification"
title = "Names"
labels = ["O", "B-PER", "I-PER"]
examples = ["的一不是"]
[tasks.names.limits]
max_length = 32
doc_stride = 24
[tasks.names.data]
format = "bio_columns"
folder = "names"
train = "train.txt"
dev = "dev.txt"
[tasks.names.train]
epochs = 1
batch_size = 16
learning_rate = 5e-3
"""


def manifest_with(labels: int, kind: str = "sequence_classification", **fields: Any) -> Manifest:
    """A manifest with so many labels, enough to build a model."""
    names = tuple(Label(f"l{i}", f"l{i}") for i in range(labels))
    return Manifest(
        **{
            "task": "toy",
            "kind": kind,
            "title": "",
            "version": 0,
            "labels": names,
            "limits": Limits(32, 16),
            "vocabulary_size": ENTRIES,
            "vocabulary_sha256": "",
            "variants": (Variant("fp32", "onnxruntime", "model.onnx", 0, "", 0.0),),
            "recommended": "fp32",
            "main_metric": "accuracy",
            **fields,
        }
    )


def random_hugging_face(seed: int = 0, std: float = 0.3, config: dict[str, Any] = CONFIG) -> Weights:
    """Weights of Hugging Face's ErnieModel under its names; nothing is 0 or 1 that could hide a mistake."""
    generator = np.random.default_rng(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]

    def draw(*shape: int, around: float = 0.0) -> np.ndarray:
        return (around + std * generator.standard_normal(shape)).astype(np.float32)

    tables = {
        "word": config["vocab_size"],
        "position": config["max_position_embeddings"],
        "token_type": config["type_vocab_size"],
        **({"task_type": config["task_type_vocab_size"]} if config["use_task_id"] else {}),
    }
    weights = {f"embeddings.{name}_embeddings.weight": draw(rows, hidden) for name, rows in tables.items()}

    def linear(name: str, inputs: int, outputs: int) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = draw(outputs, inputs), draw(outputs)

    def norm(name: str) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = draw(hidden, around=1.0), draw(hidden)

    norm("embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            linear(f"{at}.attention.self.{part}", hidden, hidden)
        linear(f"{at}.attention.output.dense", hidden, hidden)
        norm(f"{at}.attention.output.LayerNorm")
        linear(f"{at}.intermediate.dense", hidden, inner)
        linear(f"{at}.output.dense", inner, hidden)
        norm(f"{at}.output.LayerNorm")
    linear("pooler.dense", hidden, hidden)
    return weights


def write_hugging_face(folder: Path, weights: Weights, config: dict[str, Any], vocabulary: Path) -> Path:
    """A Hugging Face directory with safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, str(folder / "model.safetensors"))
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "vocab.txt").write_bytes(vocabulary.read_bytes())
    return folder


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The most frequent entries of the embedded encoder's vocabulary."""
    entries = (ASSETS / "encoder" / "vocab.txt").read_text(encoding="utf-8").splitlines()[:ENTRIES]
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(entries) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def characters(vocabulary: Path) -> list[str]:
    """Single Chinese characters of the vocabulary."""
    return [entry for entry in vocabulary.read_text(encoding="utf-8").split() if "\u4e00" <= entry[0] <= "\u9fff"]


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory, vocabulary: Path) -> Path:
    """A base model as an untrained one starts, under Hugging Face's names."""
    weights = random_hugging_face(seed=1, std=0.05)
    return write_hugging_face(tmp_path_factory.mktemp("base") / "tiny", weights, CONFIG, vocabulary)


def topic_rows(characters: list[str], count: int, seed: int) -> list[tuple[str, str]]:
    """(text, label): one character of twenty in the text tells the label; `north` is the majority."""
    generator = np.random.default_rng(seed)
    signs, filler = [characters[i : i + 4] for i in (0, 4, 8)], characters[12:]
    rows = []
    for _ in range(count):
        label = int(generator.choice(3, p=[0.5, 0.3, 0.2]))
        text = [*generator.choice(filler, int(generator.integers(3, 20))), *generator.choice(signs[label], 3)]
        rows.append(("".join(generator.permutation(text)), ("north", "south", "west")[label]))
    return rows


def write_topics(path: Path, rows: list[tuple[str, str]]) -> None:
    """CLUE's JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"sentence": text, "label": label}, ensure_ascii=False) for text, label in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_names(path: Path, characters: list[str], count: int, seed: int) -> None:
    """BIO columns: two certain characters make a name."""
    generator = np.random.default_rng(seed)
    names, filler = characters[:6], characters[12:]
    lines = []
    for _ in range(count):
        for _ in range(3):
            lines += [f"{c}\tO" for c in generator.choice(filler, 3)]
            first, second = generator.choice(names, 2)
            lines += [f"{first}\tB-PER", f"{second}\tI-PER"]
        lines.append("")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory, characters: list[str]) -> Path:
    """Data of both tasks."""
    folder = tmp_path_factory.mktemp("data")
    write_topics(folder / "topics" / "train.json", topic_rows(characters, 240, 0))
    write_topics(folder / "topics" / "dev.json", topic_rows(characters, 60, 1))
    write_names(folder / "names" / "train.txt", characters, 96, 0)
    write_names(folder / "names" / "dev.txt", characters, 20, 1)
    return folder


@pytest.fixture(scope="session")
def tasks_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tasks `topics` and `names`."""
    path = tmp_path_factory.mktemp("tasks") / "tasks.toml"
    path.write_text(TASKS, encoding="utf-8")
    return path


@dataclass(frozen=True)
class Place:
    """Where builds of a test keep their stages and publish."""

    tasks_file: Path
    data_dir: Path
    base_model: Path
    root: Path

    @property
    def cache(self) -> Path:
        """Finished stages."""
        return self.root / "cache"

    @property
    def output(self) -> Path:
        """The model repository."""
        return self.root / "models"

    def arguments(self, *more: str, task: str = "topics") -> list[str]:
        """A command line; `more` wins over what is set here."""
        options = {
            "--tasks": task,
            "--tasks-file": str(self.tasks_file),
            "--profile": "full",
            "--data-dir": str(self.data_dir),
            "--base-model": str(self.base_model),
            "--cache": str(self.cache),
            "--output": str(self.output),
        }
        return [part for option in options.items() for part in option] + list(more)

    def build(self, *more: str, task: str = "topics") -> int:
        """Run a build in this process; its exit code."""
        return build_all.main(self.arguments(*more, task=task))

    def stage(self, name: str, task: str = "topics") -> Path:
        """The folder of the one finished stage of that name."""
        (done,) = (self.cache / task / name).glob("*/done.json")
        return done.parent


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, tasks_file: Path, data_dir: Path, base_model: Path) -> Place:
    """A build of `topics` from end to end; copy it before changing it."""
    place = Place(tasks_file, data_dir, base_model, tmp_path_factory.mktemp("finished"))
    assert place.build() == 0
    return place


@pytest.fixture
def place(tmp_path: Path, tasks_file: Path, data_dir: Path, base_model: Path) -> Place:
    """Nothing built yet."""
    return Place(tasks_file, data_dir, base_model, tmp_path)


@pytest.fixture
def one_line(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Check that a build failed with exit code 1 and one line on standard error; returns the line."""

    def check(code: int, *says: str) -> str:
        errors = capsys.readouterr().err
        assert code == 1
        assert errors.startswith("ernie-triton build: ")
        assert errors.count("\n") == 1
        for text in says:
            assert text in errors
        return errors

    return check


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """No file grows past `limit` bytes: writes fail in the kernel, as they do on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def nameless(source: Path, target: Path, names: dict[str, str] | None = None) -> Path:
    """A copy of a checkpoint that does not name its labels, or names them so."""
    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    config.pop("id2label", None)
    if names:
        config["id2label"] = names
    (target / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return target
