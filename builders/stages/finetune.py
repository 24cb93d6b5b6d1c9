"""Fine-tune the base model, on one device or several; or take a checkpoint that is fine-tuned already."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ernie_runtime.manifest import Manifest
from ernie_runtime.tokenization import ErnieTokenizer

from ..draft import draft_manifest
from ..errors import BuildError
from ..progress import say
from ..weights import Checkpoint, read_checkpoint, write_checkpoint
from . import Context, Done, key_of
from .data import read_split

NAME = "fine-tune"
BEST, RESULT = "best", "result.json"


def inputs(context: Context, before: Mapping[str, Done]) -> dict[str, Any]:
    """The weights to start from, the data and the hyperparameters; only the weights where they are ready."""
    start = key_of({name: _fingerprint(value) for name, value in sorted(context.source.weights.items())})
    if context.ready:
        return {"weights": start, "config": context.source.config, "vocabulary": before["data"].key}
    return {
        "weights": start,
        "config": context.source.config,
        "data": before["data"].key,
        "train": asdict(context.task.train),
        "seed": context.seed,
        "processes": max(1, len(context.devices.split(",")) if context.devices else 1),
    }


def run(context: Context, before: Mapping[str, Done], folder: Path) -> dict[str, Any]:
    """Leave a checkpoint in `folder`/best."""
    source = context.source
    if context.ready:
        write_checkpoint(folder / BEST, source.config, source.weights, source.vocabulary)
        return {"from": context.card.get("title", Path(source.where).name), "trained": False}
    if context.devices:
        figures = _launch(context, before, folder)
    else:
        figures = train(context, before["data"], folder)
    return {"trained": True, **figures}


def line(figures: Mapping[str, Any]) -> str:
    """The best dev figure and what it took."""
    if not figures["trained"]:
        return f"checkpoint {figures['from']} taken as it is"
    return f"dev {figures['main']} {figures[figures['main']]:.2f} at batch {figures['batch']} of {figures['batches']}, {figures['seconds']} s of training"


def train(context: Context, data: Done, folder: Path) -> dict[str, Any]:
    """Fine-tune in this process (one of several under paddle.distributed.launch)."""
    from ..train import Trainer

    tokenizer = ErnieTokenizer.from_vocab(context.source.vocabulary)
    manifest: Manifest = draft_manifest(context.task, tokenizer)
    trainer = Trainer(
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
    return trainer.run()


def fine_tuned(done: Done) -> Checkpoint:
    """The checkpoint of a finished stage."""
    return read_checkpoint(done.folder / BEST)


def _launch(context: Context, before: Mapping[str, Done], folder: Path) -> dict[str, Any]:
    """`paddle.distributed.launch` runs builders/worker.py once a device; results come back in a file."""
    job, result = folder / "job.pickle", folder / RESULT
    result.unlink(missing_ok=True)
    with job.open("wb") as file:
        pickle.dump((context, before["data"], folder), file)
    count = len(context.devices.split(","))
    command = [sys.executable, "-m", "paddle.distributed.launch", "--log_dir", str(folder / "logs")]
    command += ["--devices", context.devices] if context.device == "gpu" else ["--nproc_per_node", str(count)]
    say(f"    on {count} devices; each one's log is in {folder / 'logs'}")
    with (folder / "launch.log").open("w") as log:
        code = subprocess.run([*command, "-m", "builders.worker", str(job)], stdout=log, stderr=log, check=False).returncode
    if code != 0 or not result.is_file():
        raise BuildError(f"fine-tuning on {count} devices failed (exit {code}); the reason is in {folder / 'logs'}")
    figures: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return figures


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(value.tobytes()).hexdigest()[:16]


