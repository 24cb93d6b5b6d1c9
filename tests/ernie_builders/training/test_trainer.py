"""Fine-tuning: schedule, order, accumulation, early stopping, the best checkpoint, several processes."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.config.tasks import TaskConfig, load_tasks
from ernie_builders.config.train import TrainConfig
from ernie_builders.errors import CheckpointError
from ernie_builders.modeling.model import weights_of
from ernie_builders.readers import Example
from ernie_builders.stages.draft import draft_manifest
from ernie_builders.training import launch, launched
from ernie_builders.training import trainer as train
from ernie_builders.training.dataset import epoch_order
from ernie_builders.training.loop import Loop
from ernie_builders.training.optimizer import learning_rate
from ernie_builders.training.trainer import Job, Trainer

from ..command_line import OneLine
from ..places import Place, topic_rows
from ..tiny import largest_difference

LABELS = ("north", "south", "west")


def test_learning_rate_rises_and_falls() -> None:
    rates = [learning_rate(step, 20, 8.0, 0.2) for step in range(20)]
    assert rates[:4] == [2.0, 4.0, 6.0, 8.0]
    assert rates[4:] == [8.0 * (20 - step) / 16 for step in range(4, 20)]
    assert learning_rate(0, 10, 1.0, 0.0) == 1.0
    assert [learning_rate(step, 1, 1.0, 0.9) for step in (0, 1)] == [1.0, 0.0]


def test_epoch_order() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 1000)
    batches = epoch_order(lengths, 8, seed=3, epoch=1)
    assert Counter(np.concatenate(batches).tolist()) == Counter(range(1000))
    assert {len(batch) for batch in batches} == {8}
    repeated, other_epoch, other_seed = (epoch_order(lengths, 8, s, e) for s, e in ((3, 1), (3, 2), (4, 1)))
    assert all((a == b).all() for a, b in zip(batches, repeated, strict=True))
    for other in (other_epoch, other_seed):
        assert any((a != b).any() for a, b in zip(batches, other, strict=True))
    padded = sum(lengths[batch].max() * len(batch) for batch in batches)
    assert padded < 1.1 * lengths.sum(), "batches mix lengths"


def test_a_small_encoder_has_the_rate_that_it_needs_unless_one_is_given(tiny: Tiny) -> None:
    rows = [("的一不是", "north")]
    assert tiny.trainer(rows, [], learning_rate=None).optimizer.config.learning_rate == 3e-4
    assert tiny.trainer(rows, [], learning_rate=5e-5).optimizer.config.learning_rate == 5e-5


class Tiny:
    """Trainers over the topics task."""

    def __init__(self, tasks_file: Path, base_model: Path, folder: Path) -> None:
        self.task: TaskConfig = load_tasks(tasks_file)["topics"]
        self.base, self.folder = read_checkpoint(base_model), folder
        self.tokenizer = self.base.tokenizer

    def trainer(self, rows: Sequence[tuple[str, str]], dev: Sequence[tuple[str, str]], **changes: Any) -> Trainer:
        config = replace(TrainConfig(learning_rate=5e-3, batch_size=16, dropout=0.0), **changes)
        train_rows, held_out = ([Example((text,), label, 1) for text, label in part] for part in (rows, dev))
        manifest = draft_manifest(self.task, self.tokenizer)
        job = Job(
            manifest=manifest,
            config=config,
            base=self.base,
            tokenizer=self.tokenizer,
            train=train_rows,
            held_out=held_out,
            folder=self.folder,
        )
        return Trainer(job)


@pytest.fixture
def tiny(tasks_file: Path, base_model: Path, tmp_path: Path) -> Tiny:
    return Tiny(tasks_file, base_model, tmp_path)


def test_accumulation_equals_a_larger_batch(tiny: Tiny, characters: list[str]) -> None:
    rows = [("".join(characters[i : i + 6]), LABELS[i % 3]) for i in range(16)]  # equal lengths
    small = tiny.trainer(rows, rows, batch_size=8, accumulate=2)
    large = tiny.trainer(rows, rows, batch_size=16)
    before = weights_of(small.model)
    assert largest_difference(before, weights_of(large.model)) == 0
    small.train_on([np.arange(8), np.arange(8, 16)], 0)
    large.train_on([np.arange(16)], 0)
    assert largest_difference(before, weights_of(large.model)) > 1e-3
    assert largest_difference(weights_of(small.model), weights_of(large.model)) <= 1e-5


@pytest.mark.parametrize(
    ("rows", "accumulate"), [(16, 8), (40, 7)], ids=["one batch an epoch", "three batches an epoch"]
)
def test_accumulation_over_more_than_an_epoch(
    tiny: Tiny, characters: list[str], monkeypatch: pytest.MonkeyPatch, rows: int, accumulate: int
) -> None:
    batch_counts = []
    monkeypatch.setattr(Trainer, "train_on", lambda self, batches, step: batch_counts.append(len(batches)) or 0.0)
    monkeypatch.setattr(Loop, "save", lambda self: None)  # the optimizer has nothing to save
    trainer = tiny.trainer(topic_rows(characters, rows, 0), [("的", "north")], accumulate=accumulate, epochs=30)
    trainer.run()
    assert len(batch_counts) >= 3
    assert set(batch_counts) == {accumulate}


def test_dropout_is_the_step_s_own(tiny: Tiny, characters: list[str]) -> None:
    """The same after a resume, and another at each step."""
    rows = topic_rows(characters, 16, 0)
    results = []
    for step in (5, 5, 6):
        trainer = tiny.trainer(rows, rows, dropout=0.5, epochs=20)
        trainer.train_on([np.arange(16)], step)
        results.append(weights_of(trainer.model))
    assert largest_difference(results[0], results[1]) == 0
    assert largest_difference(results[0], results[2]) > 0


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Dev accuracies that evaluations of a run give, in turn; steps add 1 to the classifier's bias."""
    scores: list[float] = []

    def step(self: Trainer, batches: Sequence[np.ndarray], number: int) -> float:
        bias = self.model.classifier.bias
        bias.set_value(bias + 1.0)
        return 0.5

    class Kind:
        main_metric = "accuracy"

        def __init__(self, real: Any) -> None:
            self.real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def score(self, *arguments: Any) -> dict[str, float]:
            return {"accuracy": scores.pop(0)}

    real = train.get_builder_kind
    monkeypatch.setattr(train, "get_builder_kind", lambda name: Kind(real(name)))
    monkeypatch.setattr(Trainer, "train_on", step)
    monkeypatch.setattr(Loop, "save", lambda self: None)  # the optimizer has nothing to save
    return scores


def test_the_best_checkpoint_is_kept_not_the_last(tiny: Tiny, characters: list[str], scripted: list[float]) -> None:
    scripted += [10.0, 60.0, 40.0, 60.0]
    trainer = tiny.trainer(topic_rows(characters, 64, 0), [("的", "north")], epochs=2, patience=9)  # 4 batches an epoch
    result = trainer.run()
    assert (result.metrics["accuracy"], result.batch, result.batches) == (60.0, 4, 8)
    assert not scripted
    difference = (
        read_checkpoint(tiny.folder / "best").weights["classifier.bias"] - weights_of(trainer.model)["classifier.bias"]
    )
    np.testing.assert_allclose(difference, -4.0)  # taken after 4 of 8 steps


def test_without_held_out_rows_the_last_checkpoint_is_kept(tiny: Tiny, characters: list[str]) -> None:
    trainer = tiny.trainer(topic_rows(characters, 64, 0), [], epochs=2, patience=1)
    result = trainer.run()
    assert (result.metrics, result.batch, result.batches) == ({}, 8, 8)
    assert largest_difference(read_checkpoint(tiny.folder / "best").weights, weights_of(trainer.model)) == 0


def test_early_stopping(tiny: Tiny, characters: list[str], scripted: list[float]) -> None:
    scripted += [10.0, 60.0, 50.0, 60.0, 40.0, 99.0]
    trainer = tiny.trainer(topic_rows(characters, 64, 0), [("的", "north")], epochs=9, patience=3)
    result = trainer.run()
    assert scripted == [99.0]
    assert (result.metrics["accuracy"], result.batches) == (60.0, 10)


def test_training_beats_the_majority_class(tiny: Tiny, characters: list[str]) -> None:
    rows, dev = topic_rows(characters, 320, 0), topic_rows(characters, 60, 1)
    majority = 100 * Counter(label for _, label in dev).most_common(1)[0][1] / len(dev)
    accuracy = tiny.trainer(rows, dev, epochs=8, dropout=0.1, evals_per_epoch=1).run().metrics["accuracy"]
    assert accuracy >= majority + 20
    assert accuracy == max(
        row["accuracy"]
        for row in json.loads((tiny.folder / "state" / "progress.json").read_text(encoding="utf-8"))["history"]
    )


def test_a_loss_that_is_no_number_ends_the_run(tiny: Tiny, characters: list[str]) -> None:
    rows = topic_rows(characters, 32, 0)
    trainer = tiny.trainer(rows, rows)
    trainer.model.classifier.bias.set_value(np.full(3, np.nan, np.float32))
    with pytest.raises(CheckpointError, match=r"the loss became nan at step 0: lower train\.learning_rate"):
        trainer.run()
    assert not (tiny.folder / "best").exists()
    with pytest.raises(CheckpointError, match="nothing to train on"):
        tiny.trainer([("", "north")], rows)


@pytest.mark.parametrize("lora", ["0", pytest.param("4", marks=pytest.mark.slow)])
def test_two_processes_equal_one_with_accumulation(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], lora: str
) -> None:
    """paddle.distributed.launch for real, on CPU; the tagger's pooler takes no part in its loss."""
    options = ["--until", "finetune", "--set", "dropout=0", "--set", "epochs=2", "--set", "evals_per_epoch=1"]
    options += ["--lora", lora]
    assert place.build("--devices", "0,1", *options, task="names") == 0
    printed = capsys.readouterr().out
    assert "on 2 devices" in printed
    assert "    batch 12: loss" in printed
    accumulated = replace(place, root=tmp_path / "one")
    assert accumulated.build("--set", "accumulate=2", *options, task="names") == 0
    parallel_weights, accumulated_weights = (
        read_checkpoint(p.stage("fine-tune", "names") / "best").weights for p in (place, accumulated)
    )
    assert largest_difference(parallel_weights, accumulated_weights) <= 1e-5
    assert (
        largest_difference(
            parallel_weights,
            read_checkpoint(place.base_model).weights
            | {name: value for name, value in parallel_weights.items() if "classifier" in name},
        )
        > 1e-3
    )


def test_a_fault_in_one_process_reaches_the_user(
    place: Place, monkeypatch: pytest.MonkeyPatch, one_line: OneLine
) -> None:
    """builders/ernie_builders/training/launched.py writes it where the build that started it looks."""
    launches = []

    class Launcher:
        """Runs the process's share in this process."""

        def __init__(self, command: list[str], **options: Any) -> None:
            launches.append(command)
            self.stdout = io.StringIO("LAUNCH INFO\n  from the first process\n")
            self.code = launched.main(Path(command[-1]))

        def wait(self) -> Any:
            return self.code

        poll = wait

    def fail(*arguments: Any) -> None:
        raise CheckpointError("the loss became nan at step 3: lower train.learning_rate")

    monkeypatch.setattr(launched, "end_with_parent", lambda: None)
    monkeypatch.setattr(Trainer, "run", fail)
    monkeypatch.setattr(launch.subprocess, "Popen", Launcher)
    one_line(place.build("--devices", "0,1"), "the loss became nan at step 3: lower train.learning_rate")
    assert launches[0][-4:-1] == ["--nproc_per_node", "2", str(launch.SCRIPT)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "gpu"], "--device gpu: this PaddlePaddle is built for CPUs"),
        (["--device", "gpu:1", "--devices", "0,1"], "--device gpu:1: this PaddlePaddle is built for CPUs"),
        (["--device", "tpu"], "--device tpu: "),
        (["--devices", "0;1"], "--devices 0;1: expected numbers joined by commas, such as 0,1"),
    ],
)
def test_missing_devices(place: Place, one_line: OneLine, options: list[str], message: str) -> None:
    one_line(place.build(*options, "--until", "finetune"), message)
