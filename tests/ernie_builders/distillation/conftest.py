"""Plain text of the toy tasks, fine-tuned teachers, and the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from ernie_builders import build_all

from ..command_line import OneLine, fault_line
from ..places import Place, topic_rows
from ..tiny import CONFIG, random_hugging_face, write_hugging_face

Command = Callable[..., int]


@pytest.fixture(scope="package")
def text(tmp_path_factory: pytest.TempPathFactory, characters: list[str]) -> Path:
    """300 texts of the topics, unlabelled."""
    path = tmp_path_factory.mktemp("text") / "plain.txt"
    path.write_text("".join(f"{row}\n" for row, _ in topic_rows(characters, 300, 5)), encoding="utf-8")
    return path


@pytest.fixture(scope="package")
def teacher(tmp_path_factory: pytest.TempPathFactory, tasks_file: Path, data_dir: Path, base_model: Path) -> Path:
    """Fine-tuned for `topics` until nearly all its answers are right."""
    place = Place(tasks_file, data_dir, base_model, tmp_path_factory.mktemp("teacher"))
    assert place.build("--until", "finetune", "--set", "epochs=6", "--set", "evals_per_epoch=1") == 0
    return place.stage("fine-tune") / "best"


@pytest.fixture(scope="package")
def tagger(finished: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fine-tuned for `names`."""
    place = replace(finished, root=tmp_path_factory.mktemp("tagger"))
    assert place.build("--until", "finetune", "--set", "epochs=8", "--set", "evals_per_epoch=1", task="names") == 0
    return place.stage("fine-tune", "names") / "best"


@pytest.fixture
def distil(tasks_file: Path, data_dir: Path, teacher: Path, text: Path, tmp_path: Path) -> Command:
    """`ernie-triton build distill task` for `topics`; later options win."""

    def run(*overrides: str) -> int:
        options = {
            "--task": "topics",
            "--tasks-file": str(tasks_file),
            "--data-dir": str(data_dir),
            "--teacher": str(teacher),
            "--text": str(text),
            "--student": "1x16x2",
            "--output": str(tmp_path / "small"),
        }
        arguments = [part for option in options.items() for part in option]
        return build_all.main(["distill", "task", *arguments, *overrides])

    return run


@pytest.fixture(scope="package")
def encoder(tmp_path_factory: pytest.TempPathFactory, vocabulary: Path) -> Path:
    """A teacher whose attention is not uniform, so that there is something to copy."""
    return write_hugging_face(
        tmp_path_factory.mktemp("encoder") / "teacher", random_hugging_face(seed=1, std=0.2), CONFIG, vocabulary
    )


@pytest.fixture
def distil_encoder(encoder: Path, text: Path, tmp_path: Path) -> Command:
    """`ernie-triton build distill encoder`; later options win."""

    def run(*overrides: str) -> int:
        options = {
            "--teacher": str(encoder),
            "--text": str(text),
            "--output": str(tmp_path / "encoders"),
            "--steps": "40",
            "--batch-size": "8",
            "--length": "32",
            "--learning-rate": "5e-3",
            "--log-every": "10",
            "--evaluate-every": "20",
        }
        arguments = [part for option in options.items() for part in option]
        return build_all.main(["distill", "encoder", *arguments, *overrides])

    return run


@pytest.fixture
def one_line(capsys: pytest.CaptureFixture[str]) -> OneLine:
    """Check that the command failed with exit code 1 and one line on standard error; returns the line."""
    return partial(fault_line, program="ernie-triton build distill", capsys=capsys)
