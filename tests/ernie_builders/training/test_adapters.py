"""LoRA: what is trained, what stays, merging, resuming."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.config.tasks import load_tasks
from ernie_builders.config.train import TrainConfig
from ernie_builders.kinds import get_builder_kind
from ernie_builders.modeling import cpu_layers
from ernie_builders.modeling.model import PaddleEngine, build_model, is_head, weights_of
from ernie_builders.readers import Example
from ernie_builders.stages.draft import draft_manifest
from ernie_builders.training.adapters import merged_weights
from ernie_builders.training.trainer import Job, Trainer

from ..command_line import OneLine
from ..places import Place, topic_rows
from ..tiny import assert_same_weights, largest_difference

RANK = 4
LINEAR = ("q_proj.weight", "k_proj.weight", "v_proj.weight", "out_proj.weight", "linear1.weight", "linear2.weight")
Rows = list[tuple[str, str]]


@pytest.fixture
def job(tasks_file: Path, base_model: Path, tmp_path: Path, characters: list[str]) -> Job:
    """Topics, with adapters of rank 4."""
    task, base = load_tasks(tasks_file)["topics"], read_checkpoint(base_model)
    rows = [[Example((text,), label, 1) for text, label in topic_rows(characters, n, n)] for n in (96, 40)]
    return Job(
        manifest=draft_manifest(task, base.tokenizer),
        config=TrainConfig(learning_rate=2e-3, batch_size=16, lora=RANK, epochs=2),
        base=base,
        tokenizer=base.tokenizer,
        train=rows[0],
        held_out=rows[1],
        folder=tmp_path / "training",
    )


def test_what_is_trained(job: Job) -> None:
    trainer = Trainer(job)
    before = weights_of(trainer.model)
    trainer.run()
    after = weights_of(trainer.model)
    changed = {name for name in before if (before[name] != after[name]).any()}
    assert changed == {name for name in before if is_head(name) or ".lora_" in name or ".norm" in name}
    best, base = read_checkpoint(job.folder / "best").weights, job.base.weights
    assert set(best) == {name for name in before if ".lora_" not in name}
    for name in base:
        if is_head(name) or ".norm" in name:
            continue
        difference = best[name] - base[name]
        if name.endswith(LINEAR):
            values = np.linalg.svd(difference, compute_uv=False)
            assert values[RANK - 1] > 1e-4 > 1e-5 > values[RANK], name
        else:
            assert not difference.any(), name


def test_the_model_begins_as_without_adapters_and_merging_keeps_its_answers(job: Job) -> None:
    trainer, kind = Trainer(job), get_builder_kind(job.manifest.kind)
    tensors = {"input_ids": np.arange(5, 29).reshape(3, 8), "token_type_ids": np.zeros((3, 8), np.int64)}

    def answers(model: Any) -> np.ndarray:
        model.eval()
        (values,) = PaddleEngine(model, kind)(tensors).values()
        return values

    plain = Trainer(replace(job, config=replace(job.config, lora=0)))
    np.testing.assert_array_equal(answers(trainer.model), answers(plain.model))
    for step in range(4):
        trainer.train_on([np.arange(16 * step, 16 * step + 16)], step)
    trained = answers(trainer.model)
    assert np.abs(trained - answers(plain.model)).max() > 0.01
    merged = replace(job.base, weights=merged_weights(trainer.model, trainer.config))
    np.testing.assert_allclose(answers(build_model(kind, merged, job.manifest, ready=True)), trained, atol=1e-5)


def test_faster_layers_give_the_gradients_of_paddle_s(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    job = replace(job, config=replace(job.config, dropout=0.0))
    fast = Trainer(job)
    monkeypatch.setattr(cpu_layers, "speed_up", lambda *arguments: None)
    plain = Trainer(job)
    fast.train_on([np.arange(16)], 0)  # B is 0 at first, and so are the gradients of A
    plain.model.set_state_dict(fast.model.state_dict())
    gradients = []
    for trainer in (fast, plain):
        (loss,) = trainer._losses([np.arange(16, 32)])
        loss.backward()
        named = trainer.model.named_parameters()
        gradients.append({name: value.grad.numpy() for name, value in named if value.grad is not None})
    trained = {name for name, value in fast.model.named_parameters() if not value.stop_gradient}
    assert all(set(names) == trained for names in gradients)
    assert all(value.any() for value in gradients[0].values())
    assert largest_difference(*gradients) <= 1e-5 * max(np.abs(value).max() for value in gradients[1].values())


def test_an_interrupted_training_resumes_to_the_same_weights(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trainer(job).run()
    again = replace(job, folder=tmp_path / "again")
    train_on = Trainer.train_on
    monkeypatch.setattr("ernie_builders.training.trainer.SAVE_SECONDS", 0)

    def interrupted(self: Trainer, batches: list[np.ndarray], step: int) -> float:
        if step == 5:
            raise KeyboardInterrupt
        return train_on(self, batches, step)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Trainer, "train_on", interrupted)
        Trainer(again).run()
    trainer = Trainer(again)
    trainer.run()
    assert trainer.progress.step == 12
    assert_same_weights(*(read_checkpoint(j.folder / "best").weights for j in (job, again)))


def test_dropout_of_the_adapters_inputs(job: Job) -> None:
    """The encoder itself has none here, so two steps differ by that of the adapters alone."""
    losses = []
    for rate in (0.0, 0.5):
        trainer = Trainer(replace(job, config=replace(job.config, dropout=0.0, lora_dropout=rate, lora_rate=50.0)))
        trainer.train_on([np.arange(16)], 0)
        losses.append(trainer.train_on([np.arange(16)], 0))
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lora", "40"], "train.lora is 40; the encoder has layers of 32 x 32, so the rank must be below 32"),
        (["--lora", "-1"], "--set: train.lora is -1; it must be 0 or above"),
        (["--lora", "x"], "--set lora=x: 'x' is not a number"),
        (["--lora", "1.5"], "--set.lora: expected int, found 1.5"),
        (["--lora", "4", "--set", "lora_rate=0"], "--set: train.lora_rate is 0; it must be above 0"),
    ],
)
def test_wrong_ranks(place: Place, one_line: OneLine, options: list[str], message: str) -> None:
    one_line(place.build(*options, "--until", "finetune"), message)
