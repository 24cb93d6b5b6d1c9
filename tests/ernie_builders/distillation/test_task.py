"""Task distillation: text without labels teaches a student of any shape, which is published like any checkpoint."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders import build_all
from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.config.tasks import ASSETS, load_tasks
from ernie_builders.distillation import measure, soft
from ernie_builders.distillation.soft import SoftTrainer, unlabelled_rows
from ernie_builders.stages.draft import draft_manifest
from ernie_builders.training.trainer import Trainer

from ..command_line import OneLine, one_object
from ..places import Place, topic_rows
from ..tiny import assert_same_weights
from .conftest import Command

LONG = ("--set", "epochs=6", "--set", "evals_per_epoch=1")
SHORT = ("--set", "epochs=1", "--set", "evals_per_epoch=1")


def card_in(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    return card


def test_unlabelled_text_teaches(
    distil: Command,
    tmp_path: Path,
    tasks_file: Path,
    data_dir: Path,
    base_model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Half the teacher's width, one layer, no labels: far above the majority class, and it can be published."""
    assert distil("--student", "1x16x2", *LONG, "--json") == 0
    printed = one_object(capsys)
    card, log = card_in(tmp_path / "small"), (tmp_path / "small" / "log.jsonl").read_text().splitlines()
    assert printed == {"output": str(tmp_path / "small"), **card}
    majority = 100 * Counter(label for _, label in topic_rows(list("的" * 40), 60, 1)).most_common(1)[0][1] / 60
    assert card["teacher"]["accuracy"] >= majority + 20
    assert card["metrics"]["accuracy"] >= majority + 15
    assert (card["texts"], card["labelled_rows"], card["dev_rows"]) == (300, 0, 60)
    losses = [json.loads(line)["loss"] for line in log]
    assert len(losses) == 6 and losses[-1] < 0.5 * losses[0]
    assert read_checkpoint(tmp_path / "small").config.hidden_size == 16
    assert not (tmp_path / "small.partial").exists()
    place = Place(tasks_file, data_dir, base_model, tmp_path / "published")
    assert place.build("--checkpoint", f"topics={tmp_path / 'small'}", "--until", "evaluate") == 0
    served = place.figures("evaluate")
    assert served["metrics"] == card["metrics"]


def test_a_tagger(distil: Command, tmp_path: Path, tagger: Path, characters: list[str]) -> None:
    """Outputs per token, a student from its shape, with labelled rows as well."""
    generator = np.random.default_rng(0)
    text = tmp_path / "names.txt"
    rows = ["".join(generator.choice(characters[:6] if i % 3 else characters[12:], 9)) for i in range(120)]
    text.write_text("\n".join(rows), encoding="utf-8")
    options = ("--task", "names", "--teacher", str(tagger), "--text", str(text), "--labelled", "--student", "1x32x2x64")
    assert distil(*options, "--set", "epochs=4", "--set", "evals_per_epoch=1") == 0
    card = card_in(tmp_path / "small")
    assert (card["texts"], card["labelled_rows"], card["main_metric"]) == (120, 96, "f1")
    assert card["metrics"]["f1"] > 50
    losses = [json.loads(line)["loss"] for line in (tmp_path / "small/log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]


def test_labels_count_for_their_rows_only(
    tasks_file: Path, teacher: Path, text: Path, characters: list[str], tmp_path: Path
) -> None:
    """In a mixed batch, the outputs' error is of all rows and the labels' loss of the labelled rows."""
    from ernie_builders.config.train import TrainConfig
    from ernie_builders.distillation.student import make_student
    from ernie_builders.readers import Example
    from ernie_builders.training.trainer import Job

    checkpoint = read_checkpoint(teacher)
    tokenizer = checkpoint.tokenizer
    manifest = draft_manifest(load_tasks(tasks_file)["topics"], tokenizer)
    labelled = [Example((row,), label, i) for i, (row, label) in enumerate(topic_rows(characters, 6, 3))]
    texts = [(row,) for row, _ in topic_rows(characters, 10, 4)]
    job = Job(
        manifest=manifest,
        config=TrainConfig(dropout=0.0),
        base=make_student("1x16x2", checkpoint),
        tokenizer=tokenizer,
        train=labelled,
        held_out=labelled,
        folder=tmp_path,
    )
    trainer = SoftTrainer(checkpoint, texts, job)
    assert [bool(row.targets) for row in trainer.rows] == [True] * 6 + [False] * 10

    def loss(rows: list[int]) -> float:
        from ernie_runtime.steps.batching import pad_rows

        chosen = [trainer.rows[i] for i in rows]
        windows = [window for row in chosen for window in row.windows]
        ids = trainer.paddle.to_tensor(pad_rows([window.input_ids for window in windows]))
        types = trainer.paddle.zeros_like(ids)
        trainer.model.eval()
        targets = trainer._targets(chosen)
        return float(trainer._loss(trainer.kind.outputs(trainer.model(ids, token_type_ids=types)), targets, ids, types))

    mixed, unlabelled = loss([0, 8, 3, 9]), loss([8, 9])
    hard = 2 * (loss([0, 3]) - _soft_only(trainer, loss, [0, 3]))
    soft_mixed = _soft_only(trainer, loss, [0, 8, 3, 9])
    assert unlabelled == pytest.approx(_soft_only(trainer, loss, [8, 9]))
    assert mixed == pytest.approx(soft_mixed + hard / 2, rel=1e-5)
    assert hard > 0


def _soft_only(trainer: SoftTrainer, loss: Callable[[list[int]], float], rows: list[int]) -> float:
    before, soft.HARD = soft.HARD, 0.0
    try:
        return loss(rows)
    finally:
        soft.HARD = before


def test_an_interrupted_run_resumes_to_the_same_weights(
    distil: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert distil(*SHORT) == 0
    step = Trainer.train_on

    def interrupted(self: Trainer, batches: Any, number: int) -> float:
        if number == 9:
            raise KeyboardInterrupt
        return step(self, batches, number)

    output = ("--output", str(tmp_path / "again"))
    with monkeypatch.context() as patched:
        patched.setattr("ernie_builders.training.trainer.SAVE_SECONDS", 0)
        patched.setattr(Trainer, "train_on", interrupted)
        assert distil(*SHORT, *output) == 130
    assert distil(*SHORT, *output) == 0
    assert "resumed after batch 9" in capsys.readouterr().out
    ours, theirs = (read_checkpoint(tmp_path / name).weights for name in ("again", "small"))
    assert_same_weights(ours, theirs)
    monkeypatch.setattr(Trainer, "run", lambda self: pytest.fail("done again"))
    assert distil(*SHORT) == 0
    assert "finished already" in capsys.readouterr().out


def test_other_labelled_rows_do_not_resume_a_run(
    distil: Command,
    tmp_path: Path,
    data_dir: Path,
    one_line: OneLine,
) -> None:
    assert distil(*SHORT) == 0
    shutil.copytree(data_dir, tmp_path / "data")
    dev = tmp_path / "data" / "topics" / "dev.json"
    dev.write_text("".join(dev.read_text(encoding="utf-8").splitlines(keepends=True)[:30]), encoding="utf-8")
    one_line(distil(*SHORT, "--data-dir", str(tmp_path / "data")), "small")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--student", "1x16x3"], "--student 1x16x3: 3 heads do not divide 16 hidden units"),
        (["--text", "nowhere.txt"], "--text nowhere.txt: no such file"),
        (["--task", "poems"], "--task: 'poems' is not in tasks.toml; it has topics, names"),
        (["--teacher", "poems"], "--teacher poems: no directory, and no checkpoint that ships (afqmc"),
        (["--teacher", "tnews"], "--teacher tnews: is fine-tuned for tnews, not for topics"),
        (["--teacher", ""], "task topics: no checkpoint ships for it; give --teacher DIR"),
        (["--task", "names"], "its labels are north, south, west; tasks.names.labels must be these, in this order"),
        (["--student", "embedded"], "--student embedded: its vocabulary is not that of the teacher"),
        (["--set", "epochs=0"], "train.epochs is 0; it must be above 0"),
        (["--set", "epoch=1"], "--set epoch=1: expected NAME=VALUE"),
        (["--rows", "-1"], "--rows -1: must be 0 or above"),
        (["--data-dir", "nowhere"], "--data-dir nowhere: no such directory"),
    ],
)
def test_faults(
    distil: Command,
    tmp_path: Path,
    one_line: OneLine,
    options: list[str],
    message: str,
) -> None:
    one_line(distil(*options), message)
    assert not (tmp_path / "small").exists()
    assert not (tmp_path / "small.partial").exists()


def test_text_that_teaches_nothing(distil: Command, tmp_path: Path, one_line: OneLine) -> None:
    file = tmp_path / "x.txt"
    for content, message in (
        (b"", "holds no text; expected one text a line"),
        (b"\xff\xff\xff\xff\n", "x.txt:1: byte 0 of the line (byte 0 of the file, 0xff) is not UTF-8"),
        ("\u200b\n\x01\n".encode(), "none of the 2 texts can be served"),
    ):
        file.write_bytes(content)
        one_line(distil("--text", str(file)), message)


def test_a_teacher_without_a_head(distil: Command, base_model: Path, one_line: OneLine) -> None:
    one_line(distil("--teacher", str(base_model)), "has no task head, so it is not fine-tuned for topics")


def test_rows_of_a_long_text(tasks_file: Path, teacher: Path, characters: list[str]) -> None:
    """One row per window; a text that cannot be served has none."""
    tokenizer = read_checkpoint(teacher).tokenizer
    manifest = draft_manifest(load_tasks(tasks_file)["topics"], tokenizer)
    texts = [("".join(characters[:80]),), ("",), (characters[0],)]
    rows = unlabelled_rows(manifest, tokenizer, texts)
    assert [row.windows[0].owner for row in rows] == [0, 0, 0, 0, 2]
    assert [row.windows[0].owner for row in unlabelled_rows(manifest, tokenizer, texts, 2)] == [0, 0, 2]


@pytest.mark.slow
def test_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a task whose checkpoint ships, with its sample."""
    columns = {name: measure.COLUMNS[name] for name in list(measure.COLUMNS)[-3::2]}
    assert [taught for _, taught in columns.values()] == [False, True]
    monkeypatch.setattr(measure, "COLUMNS", columns)
    shutil.copytree(ASSETS / "samples" / "msra_ner", tmp_path / "data" / "msra_ner")
    arguments = [
        "distill",
        "measure",
        "--tasks",
        "msra_ner",
        "--student",
        "1x26x2",
        "--labelled",
        "40",
        "--texts",
        "64",
    ]
    arguments += ["--task-steps", "2", "--steps", "2", "--length", "16", "--batch-size", "4", "--set", "choose_rows=0"]
    arguments += ["--data-dir", str(tmp_path / "data"), "--output", str(tmp_path / "measured")]
    assert build_all.main(arguments) == 0
    table = (tmp_path / "measured" / "table.md").read_text(encoding="utf-8")
    head, _, row = table.splitlines()[:3]
    assert head.count("|") == row.count("|") == 6
    assert "40 rows with labels, 64 texts without, 120 dev rows" in table
    assert "2 batches each" in table
    teacher_figure = float(row.split("|")[-2])
    assert teacher_figure > 50
    capsys.readouterr()
    assert build_all.main([*arguments, "--json"]) == 0
    output = capsys.readouterr()
    assert output.err.count("finished already") == 3
    cards = json.loads(output.out)["tasks"]["msra_ner"]
    card = cards[next(iter(columns))]
    assert list(cards) == list(columns) and f"{card['metrics'][card['main_metric']]:.2f}" in row
