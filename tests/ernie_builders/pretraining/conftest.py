"""A small corpus as text and as ids, and runs over them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ernie_runtime.text.tokenization import ErnieTokenizer

from ..command_line import OneLine, fault_line
from ..tiny import CONFIG, random_hugging_face, write_hugging_face
from .texts import SMALL, Run, documents, ids_line, write_text


@pytest.fixture(scope="session")
def tokenizer(vocabulary: Path) -> ErnieTokenizer:
    return ErnieTokenizer.from_vocab(vocabulary)


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory, characters: list[str]) -> Path:
    return write_text(tmp_path_factory.mktemp("text") / "topics.txt", documents(characters, 200))


@pytest.fixture(scope="session")
def id_files(
    tmp_path_factory: pytest.TempPathFactory, characters: list[str], tokenizer: ErnieTokenizer
) -> tuple[Path, Path]:
    """Training and held-out lines: the second sentence has the first one's topic or another."""
    folder = tmp_path_factory.mktemp("ids")
    for name, count, seed in (("train.txt", 160, 1), ("held_out.txt", 40, 2)):
        corpus, lines = documents(characters, count, seed), []
        for number, sentences in enumerate(corpus):
            other = sentences if number % 2 else corpus[number - 1]
            first, second = ([int(i) for i in part.ids] for part in tokenizer([sentences[0], other[1]]))
            lines.append(ids_line(first, second, number % 2))
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "train.txt", folder / "held_out.txt"


@pytest.fixture(scope="session")
def large_init(tmp_path_factory: pytest.TempPathFactory, vocabulary: Path) -> Path:
    """A random encoder with large weights: only from these does so tiny a model soon learn more than frequencies."""
    weights = random_hugging_face(seed=1, std=0.15)
    return write_hugging_face(tmp_path_factory.mktemp("lively") / "lively", weights, CONFIG, vocabulary)


@pytest.fixture
def text_run(text_file: Path, vocabulary: Path, tmp_path: Path) -> Callable[..., Run]:
    """Makes a run over text, given its name and options."""

    def make(name: str, *options: str) -> Run:
        return Run(tmp_path / name, ("--data", str(text_file), "--vocab", str(vocabulary), *SMALL, *options))

    return make


@pytest.fixture
def id_run(id_files: tuple[Path, Path], vocabulary: Path, tmp_path: Path) -> Callable[..., Run]:
    """Makes a run over ids, given its name and options."""
    train, held_out = map(str, id_files)

    def make(name: str, *options: str) -> Run:
        arguments = ("--format", "ids", "--data", train, "--held-out", held_out, "--vocab", str(vocabulary))
        return Run(tmp_path / name, (*arguments, *SMALL, *options))

    return make


@pytest.fixture
def one_line(capsys: pytest.CaptureFixture[str]) -> OneLine:
    """Check that a run failed with exit code 1 and one line on standard error; returns the line."""
    return partial(fault_line, program="ernie-triton build pretrain", capsys=capsys)
