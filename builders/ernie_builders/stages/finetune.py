"""Fine-tune the base model on one device or several, or take a checkpoint that is fine-tuned already."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from ernie_runtime.json_types import JsonObject
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline

from ..checkpoints.base_models import model_of
from ..checkpoints.checkpoint import Checkpoint, read_checkpoint, tokenizer_of, write_checkpoint, write_options
from ..checkpoints.encoder_config import read_config
from ..filesystem import key_of
from ..framework import import_paddle
from ..kinds import get_builder_kind
from ..modeling.model import PaddleEngine, build_model
from ..readers.files.holdout import hold_out
from ..training.launch import Devices, launch
from ..training.state import PROGRESS, STATE
from .context import Context
from .data import read_split
from .draft import BEST, changed_fields, draft_manifest, tokenizer_for
from .results import DataRead, FineTuned
from .stage import Finished, Output, Stage

FORMAT = 2  # raise it when the same hyperparameters train in another way


def inputs(context: Context, finished: Finished) -> JsonObject:
    """The weights to start from, the data and the hyperparameters; of a fine-tuned checkpoint the weights alone."""
    kind = get_builder_kind(context.task.kind)
    start = key_of({name: _fingerprint(value) for name, value in sorted(context.source.weights.items())})
    if context.ready:
        return {"weights": start, "config": context.source.config.to_json(), "vocabulary": finished.data.key}
    base = model_of(context.source.name, context.source.config)
    return {
        "weights": start,
        "config": context.source.config.to_json(),
        "data": finished.data.key,
        "train": {"learning_rate": base.learning_rate, **changed_fields(context.task.train)},
        "seed": context.seed,
        "training": FORMAT if kind.training_version == 1 else f"{FORMAT}.{kind.training_version}",
        "processes": max(1, len(context.devices.split(",")) if context.devices else 1),
    }


def run(context: Context, finished: Finished, folder: Path) -> FineTuned:
    """Leave a checkpoint in `folder`/best."""
    source = context.source
    if context.ready or not get_builder_kind(context.task.kind).trains:
        source = with_derived(context, finished.data)
        write_checkpoint(folder / BEST, source.config, source.weights, source.tokenizer)
        result = FineTuned(trained=False, source=source.name)
    elif context.devices:
        devices = Devices(
            numbers=context.devices,
            device=context.device,
            logs=folder / "logs",
            title="fine-tuning",
            shown=("    batch", "    resumed", "    unused", "  fine-tune", "  held out"),  # results and bars
        )
        result = launch(_train_launched, (context, finished.data, folder), devices)
    else:
        result = train(context, finished.data, folder)
    learn(context, finished.data, folder / BEST)
    if result.trained:
        drop_state(folder)
    return result


def with_derived(context: Context, data: Output[DataRead]) -> Checkpoint:
    """The checkpoint that is published as it is, with the weights that its kind computes from training text."""
    task, source = context.task, context.source
    kind, tokenizer = get_builder_kind(task.kind), tokenizer_for(task, source.tokenizer)

    def pipeline(manifest: Manifest) -> Pipeline:
        import_paddle(context.device)
        model = build_model(kind, source, manifest, ready=True)
        model.eval()
        return Pipeline(manifest, tokenizer, PaddleEngine(model, kind))

    manifest = draft_manifest(task, tokenizer)
    return kind.derive_weights(source, manifest, read_split(data, "train"), pipeline)


def drop_state(folder: Path) -> None:
    """Keep a training's history and remove its weights and moments, which only a resumed run needs.

    To be called last, as a stage that is interrupted in `learn` must not train again.
    """
    shutil.copyfile(folder / STATE / PROGRESS, folder / PROGRESS)
    removed = folder / "state.done"  # renamed first: a state is whole or not there
    shutil.rmtree(removed, ignore_errors=True)  # left by a kill while it was being removed
    (folder / STATE).rename(removed)
    shutil.rmtree(removed)


def learn(context: Context, data: Output[DataRead], folder: Path) -> None:
    """Store with the checkpoint the options that the kind learns from data, such as thresholds, unless it has them."""
    if read_config(folder).task_options is not None:
        return
    kind = get_builder_kind(context.task.kind)
    tokenizer = tokenizer_for(context.task, tokenizer_of(folder))
    manifest = draft_manifest(context.task, tokenizer)

    def pipeline() -> Pipeline:
        import_paddle(context.device)
        model = build_model(kind, read_checkpoint(folder), manifest, ready=True)
        model.eval()
        return Pipeline(manifest, tokenizer, PaddleEngine(model, kind))

    train = read_split(data, "train")
    held_out = hold_out(train, context.task.train.choose_rows, context.seed)[1]
    if context.ready:  # it may have been trained on every training row
        held_out = read_split(data, "dev")
    options = kind.learn(manifest, train, held_out, pipeline)
    if options:
        write_options(folder, options)


def line(result: FineTuned) -> str:
    """The best figure on the held-out training rows, and how long training took."""
    if not result.trained:
        return f"checkpoint {result.source} taken as it is"
    training = f"{result.seconds} s of training"
    if not result.metrics:
        return f"{result.batches} batches, {training}; too few rows to hold some out: the last checkpoint is kept"
    return (
        f"held-out {result.main} {result.metrics[result.main]:.2f} at batch {result.batch} of {result.batches}, "
        f"{training}"
    )


STAGE = Stage(name="fine-tune", result_type=FineTuned, inputs=inputs, run=run, line=line)


def train(context: Context, data: Output[DataRead], folder: Path) -> FineTuned:
    """Fine-tune in this process (one of several under paddle.distributed.launch)."""
    from ..training.trainer import Job, Trainer

    tokenizer = tokenizer_for(context.task, context.source.tokenizer)
    manifest: Manifest = draft_manifest(context.task, tokenizer)
    train_rows, held_out = hold_out(read_split(data, "train"), context.task.train.choose_rows, context.seed)
    job = Job(
        manifest=manifest,
        config=context.task.train,
        base=context.source,
        tokenizer=tokenizer,
        train=train_rows,
        held_out=held_out,
        folder=folder,
        device=context.device,
        seed=context.seed,
    )
    return FineTuned(trained=True, **vars(Trainer(job).run()))


def _train_launched(share: tuple[Context, Output[DataRead], Path]) -> FineTuned:
    """`train`, as one of several processes."""
    return train(*share)


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(value.tobytes()).hexdigest()[:16]
