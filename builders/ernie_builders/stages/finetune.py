"""Fine-tune the base model, on one device or several; or take a checkpoint that is fine-tuned already."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..checkpoints.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from ..checkpoints.encoder_config import EncoderConfig, read_config
from ..filesystem import key_of
from ..framework import import_paddle
from ..kinds import get_builder_kind
from ..modeling.model import PaddleEngine, build_model
from ..training.launch import Devices, launch
from . import Context, Done
from .data import read_split
from .draft import draft_manifest

NAME = "fine-tune"
FORMAT = 1  # raise it when the same hyperparameters train in another way
BEST, HISTORY = "best", "progress.json"


def inputs(context: Context, before: Mapping[str, Done]) -> dict[str, Any]:
    """The weights to start from, the data and the hyperparameters; only the weights where they are ready."""
    kind = get_builder_kind(context.task.kind)
    start = key_of({name: _fingerprint(value) for name, value in sorted(context.source.weights.items())})
    if context.ready:
        return {"weights": start, "config": context.source.config.to_json(), "vocabulary": before["data"].key}
    return {
        "weights": start,
        "config": context.source.config.to_json(),
        "data": before["data"].key,
        "train": changed_fields(context.task.train),
        "seed": context.seed,
        "training": FORMAT if kind.training == 1 else f"{FORMAT}.{kind.training}",
        "processes": max(1, len(context.devices.split(",")) if context.devices else 1),
    }


def changed_fields(config: Any) -> dict[str, Any]:
    """A dataclass's fields that are not at their defaults: a hyperparameter that is new keeps what was trained."""
    return {f.name: value for f in fields(config) if (value := getattr(config, f.name)) != f.default}


def run(context: Context, before: Mapping[str, Done], folder: Path) -> dict[str, Any]:
    """Leave a checkpoint in `folder`/best."""
    source = context.source
    figures: dict[str, Any] = {"from": source.name, "trained": False}
    if context.ready or not get_builder_kind(context.task.kind).trains:
        write_checkpoint(folder / BEST, source.config, source.weights, source.vocabulary)
    else:
        if context.devices:
            devices = Devices(
                numbers=context.devices,
                device=context.device,
                logs=folder / "logs",
                title="fine-tuning",
                shown=("    batch", "    resumed", "  fine-tune", "  dev"),  # results and bars
            )
            figures = launch(_train_launched, (context, before["data"], folder), devices)
        else:
            figures = train(context, before["data"], folder)
        figures["trained"] = True
    learn(context, before["data"], folder / BEST)
    if figures["trained"]:
        drop_state(folder)
    return figures


def drop_state(folder: Path) -> None:
    """Keep a training's history and remove its weights and moments, which only a run that goes on needs: the last
    thing of a stage, or one that is stopped in `learn` would train again."""
    shutil.copyfile(folder / "state" / HISTORY, folder / HISTORY)
    gone = folder / "state.done"  # a state is there whole or not at all
    shutil.rmtree(gone, ignore_errors=True)  # half of one, where a kill came in between
    (folder / "state").rename(gone)
    shutil.rmtree(gone)


def learn(context: Context, data: Done, folder: Path) -> None:
    """Store with the checkpoint what the kind learns from data besides weights, unless it is there already."""
    if read_config(folder).task_options is not None:
        return
    found = read_checkpoint(folder)
    kind, tokenizer = get_builder_kind(context.task.kind), ErnieTokenizer.from_vocab(found.vocabulary)
    manifest = draft_manifest(context.task, tokenizer)

    def pipeline() -> Pipeline:
        import_paddle(context.device)
        model = build_model(kind, found, manifest, ready=True)
        model.eval()
        return Pipeline(manifest, tokenizer, PaddleEngine(model, kind))

    learnt = kind.learn(manifest, read_split(data, "train"), read_split(data, "dev"), pipeline)
    if learnt:
        write_checkpoint(folder, replace(found.config, task_options=learnt), found.weights, found.vocabulary)


def manifest_of(context: Context, done: Done, tokenizer: ErnieTokenizer) -> Manifest:
    """The task's manifest with what fine-tuning learnt, before anything is exported."""
    return draft_manifest(context.task, tokenizer, config_of(done).task_options)


def line(figures: Mapping[str, Any]) -> str:
    """The best dev figure and what it took."""
    if not figures["trained"]:
        return f"checkpoint {figures['from']} taken as it is"
    return (
        f"dev {figures['main']} {figures[figures['main']]:.2f} at batch {figures['batch']} of {figures['batches']}, "
        f"{figures['seconds']} s of training"
    )


def train(context: Context, data: Done, folder: Path) -> dict[str, Any]:
    """Fine-tune in this process (one of several under paddle.distributed.launch)."""
    from ..training.trainer import Job, Trainer

    tokenizer = ErnieTokenizer.from_vocab(context.source.vocabulary)
    manifest: Manifest = draft_manifest(context.task, tokenizer)
    job = Job(
        manifest,
        context.task.train,
        context.source,
        tokenizer,
        read_split(data, "train"),
        read_split(data, "dev"),
        folder,
        context.device,
        context.seed,
    )
    return Trainer(job).run()


def config_of(done: Done) -> EncoderConfig:
    """The checkpoint's configuration, without reading its weights."""
    return read_config(done.folder / BEST)


def fine_tuned(done: Done) -> Checkpoint:
    """The checkpoint of a finished stage."""
    return read_checkpoint(done.folder / BEST)


def _train_launched(share: tuple[Context, Done, Path]) -> dict[str, Any]:
    """`train`, as one of several processes."""
    return train(*share)


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(value.tobytes()).hexdigest()[:16]
