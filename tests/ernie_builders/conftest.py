"""A tiny base model, data and tasks, a finished build, and the check of a failed one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ernie_builders.config.tasks import ASSETS
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.tokenizer import Tokenizer
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ..shared import made_once
from .command_line import OneLine, fault_line, plan_of
from .lint import toy_repository
from .places import TASKS, Place, topic_rows, write_names, write_topics
from .tiny import CONFIG, ENTRIES, random_hugging_face, write_hugging_face


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The most frequent entries of the embedded encoder's vocabulary."""
    entries = (ASSETS / "encoder" / "vocab.txt").read_text(encoding="utf-8").splitlines()[:ENTRIES]
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(entries) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tokenizer(vocabulary: Path) -> Tokenizer:
    """Of that vocabulary."""
    return load_tokenizer(vocabulary)


@pytest.fixture(scope="session")
def characters(vocabulary: Path) -> list[str]:
    """Single Chinese characters of the vocabulary."""
    return [entry for entry in vocabulary.read_text(encoding="utf-8").split() if "\u4e00" <= entry[0] <= "\u9fff"]


@pytest.fixture
def unweighted(tmp_path: Path, vocabulary: Path) -> Path:
    """A directory with a configuration and a vocabulary, and no weights yet."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (tmp_path / "vocab.txt").write_bytes(vocabulary.read_bytes())
    return tmp_path


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory, vocabulary: Path) -> Path:
    """A base model as an untrained one starts, under Hugging Face's names."""
    weights = random_hugging_face(seed=1, std=0.05)
    return write_hugging_face(tmp_path_factory.mktemp("base") / "tiny", weights, CONFIG, vocabulary)


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


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, tasks_file: Path, data_dir: Path, base_model: Path) -> Place:
    """A build of `topics` from end to end; copy it before changing it."""

    def build(root: Path) -> None:
        assert Place(tasks_file, data_dir, base_model, root).build() == 0

    return Place(tasks_file, data_dir, base_model, made_once("topics", build, tmp_path_factory))


@pytest.fixture
def place(tmp_path: Path, tasks_file: Path, data_dir: Path, base_model: Path) -> Place:
    """Nothing built yet."""
    return Place(tasks_file, data_dir, base_model, tmp_path)


@pytest.fixture
def plan(place: Place, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The plan of a command line over the place's tasks; nothing may have been made."""

    def run(*more: str, task: str = "topics") -> str:
        code = place.build("--dry-run", *more, task=task)
        assert not place.cache.exists() and not place.output.exists()
        return plan_of(code, capsys)

    return run


@pytest.fixture
def one_line(capsys: pytest.CaptureFixture[str]) -> OneLine:
    """Check that a build failed with exit code 1 and one line on standard error; returns the line."""
    return partial(fault_line, program="ernie-triton build", capsys=capsys)


@pytest.fixture(scope="session")
def embedded_tokenizer() -> ErnieTokenizer:
    """Of the encoder that ships."""
    return ErnieTokenizer.from_vocab(ASSETS / "encoder" / "vocab.txt")


@pytest.fixture(scope="session")
def lint_published(tmp_path_factory: pytest.TempPathFactory, embedded_tokenizer: ErnieTokenizer) -> Path:
    """A repository of the tasks `news` and `ner`; copy it before changing it."""
    root = tmp_path_factory.mktemp("lint") / "repository"
    for task in toy_repository.LABELS:
        graph = toy_repository.onnx_bytes(3, task == "ner")
        toy_repository.publish(
            root, toy_repository.make_manifest(task, embedded_tokenizer, graph), embedded_tokenizer, graph
        )
    (root / "README.md").write_text("Generated.\n", encoding="utf-8")
    return root


@pytest.fixture
def lint_root(lint_published: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(lint_published, tmp_path / "repository"))
