"""Tasks without a server, and the messages for an unknown task or a missing package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ernie_runtime.kinds import Answer
from ernie_runtime.manifest import Label, Limits, Manifest, Variant
from ernie_triton import TextError, UnknownTask
from ernie_triton.cli import main
from ernie_triton.errors import LocalError
from ernie_triton.local import LocalTasks
from ernie_triton.replies import Reply

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("clients", "python_backends")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Manifests of a task in versions 2 and 10, without the files of a model."""
    folder = tmp_path / "models"
    for version in (2, 10):
        manifest = Manifest(
            task="topic",
            kind="sequence_classification",
            title="Topics",
            version=version,
            labels=(Label("0", "sport"), Label("1", "money")),
            limits=Limits(max_length=32, doc_stride=20),
            vocabulary_size=9,
            vocabulary_sha256="",
            variants=tuple(
                Variant(name=name, engine="onnxruntime", file="model.onnx", bytes=1, sha256="", max_abs_error=0.0)
                for name in ("fp32", "int8", "bf16")
            ),
            recommended="fp32",
            main_metric="accuracy",
            made_by={"build": "b7"},
            examples=(("球队",),),
        )
        for model in ("topic", "topic_tokenizer", "topic_encoder_fp32", "topic_encoder_int8"):
            (folder / model / str(version)).mkdir(parents=True)
            (folder / model / str(version) / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    (folder / "gone_tokenizer").mkdir()
    return folder


def test_a_task_is_that_of_the_newest_version(repository: Path) -> None:
    task = LocalTasks(repository).task("topic")
    assert (task.version, task.inputs, task.variant, task.build) == (10, ("TEXT",), "fp32", "b7")
    assert task.variants == ("fp32", "int8")  # bf16 is in the manifest, not in the repository
    assert task.labels == ("sport", "money") and task.examples == (("球队",),)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["topik", "--repository", "models"], "has no task 'topik'; it has topic; did you mean topic?"),
        (["topic", "--repository", "none"], "no model repository at none: build one, or give --repository"),
        (["topic"], "no model repository at model_repository"),
        (
            ["topic", "--repository", "models", "--variant", "int4"],
            "task topic has no variant 'int4'; it has fp32, int8",
        ),
        (["topic", "--repository", "models"], "models/topic_encoder_fp32/10/model.onnx: ONNX Runtime cannot load it"),
    ],
)
@pytest.mark.parametrize("from_file", [False, True])
def test_what_is_missing_is_one_line(
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
    from_file: bool,
) -> None:
    monkeypatch.chdir(repository.parent)
    Path("in.txt").write_text("球队\n", encoding="utf-8")
    source = ["--input", "in.txt", "--output", "out.jsonl"] if from_file else ["球队"]
    assert main(["predict", *words, "--local", *source]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and error.startswith("ernie-triton predict: ")


def test_a_manifest_that_cannot_be_read(repository: Path) -> None:
    (repository / "topic" / "10" / "manifest.json").write_text("{")
    with pytest.raises(LocalError, match=r"topic/10/manifest\.json: not JSON"):
        LocalTasks(repository).task("topic")


@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers"])
def test_a_missing_package_names_its_extra(repository: Path, package: str) -> None:
    script = (
        f"import sys; sys.modules[{package!r}] = None; sys.path[:0] = {[str(ROOT / p) for p in ROOMS]!r}; "
        "from ernie_triton.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["predict", "topic", "--local", "--repository", str(repository), "球队"]
    completed = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert completed.returncode == 1
    assert f"needs the Python package '{package}'" in completed.stderr and " setup\n" in completed.stderr
    assert completed.stderr.count("\n") == 1


class Model:
    """Stands for a Pipeline: answers with a text's length, refuses empty ones, breaks at `boom`."""

    manifest = SimpleNamespace(task="topic")

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def predict(self, rows: Sequence[tuple[bytes, ...]], chunk: int) -> list[Answer | str]:
        self.sizes.append(len(rows))
        if any(row[0] == b"boom" for row in rows):
            raise ValueError("a bug")
        return [
            Answer({"length": len(row[0])}, {"SCORE": 0.5, "LABEL_ID": 1, "EMBEDDING": np.ones(3, np.float32)})
            if row[0]
            else "the text is empty"
            for row in rows
        ]


@pytest.fixture
def tasks(repository: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[LocalTasks, Model]:
    model, local_tasks = Model(), LocalTasks(repository)
    monkeypatch.setattr(local_tasks, "_pipeline", lambda task, variant: model)
    return local_tasks, model


def test_texts_go_in_batches_and_replies_come_in_order(tasks: tuple[LocalTasks, Model]) -> None:
    local_tasks, model = tasks
    texts = ["x" * n for n in range(10)]
    replies = list(local_tasks.stream("topic", iter(texts), batch_size=4))
    assert replies[0] == TextError(0, "the text is empty")
    assert replies[1:] == [Reply({"length": n}) for n in range(1, 10)]
    assert model.sizes == [4, 4, 2]


def test_numbers_are_those_that_a_server_sends(tasks: tuple[LocalTasks, Model]) -> None:
    (reply,) = tasks[0].stream("topic", ["a"], numeric=True)
    assert isinstance(reply, Reply)
    assert {name: (v.shape, v.dtype.name) for name, v in reply.numeric.items()} == {
        "SCORE": ((1,), "float32"),
        "LABEL_ID": ((1,), "int64"),
        "EMBEDDING": ((3,), "float32"),
    }
    (reply,) = tasks[0].stream("topic", ["a"])
    assert isinstance(reply, Reply) and reply.numeric == {}


def test_a_text_that_breaks_the_runtime_is_lost_alone(tasks: tuple[LocalTasks, Model]) -> None:
    replies = list(tasks[0].stream("topic", ["a", "boom", "b"]))
    assert [isinstance(reply, Reply) for reply in replies] == [True, False, True]
    assert replies[1] == TextError(1, "task topic failed: a bug (ValueError)")


def test_a_runtime_that_always_breaks_is_told(tasks: tuple[LocalTasks, Model], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(rows: object, chunk: int) -> list[Answer | str]:
        raise ValueError("a bug")

    monkeypatch.setattr(tasks[1], "predict", broken)
    with pytest.raises(LocalError, match="task topic failed: a bug"):
        list(tasks[0].stream("topic", ["a", "b"]))


def test_batches_of_nothing(repository: Path) -> None:
    with pytest.raises(ValueError, match="batch_size is 0; it must be at least 1"):
        LocalTasks(repository).stream("topic", ["a"], batch_size=0)


def test_no_such_task_or_variant(repository: Path) -> None:
    with pytest.raises(UnknownTask):
        LocalTasks(repository).stream("other", ["a"])
    with pytest.raises(UnknownTask):
        LocalTasks(repository).stream("topic", ["a"], variant="bf16")
