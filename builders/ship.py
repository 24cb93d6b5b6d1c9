"""Checkpoints that ship with the project: compact, measured as they are stored, with a card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .stages import Context, Done, data, evaluate, export, finetune, run_stage
from .stages.finetune import fine_tuned
from .weights import read_checkpoint, write_checkpoint

BITS = 8


def save_checkpoint(folder: Path, context: Context, done: Mapping[str, Done], command: str) -> str:
    """Store a trained checkpoint with 8-bit weights, evaluate what was stored, write card.json; one line about it."""
    trained = fine_tuned(done["fine-tune"])
    write_checkpoint(folder, trained.config, trained.weights, trained.vocabulary, BITS)
    stored = replace(context, source=read_checkpoint(folder), ready=True)
    again: dict[str, Done] = {}
    for stage in (data, finetune, export, evaluate):
        run_stage(stage, stored, again)
    before, after = done["evaluate"].figures, again["evaluate"].figures
    card = make_card(context, done, command)
    card["evaluations"] = [
        {
            "split": after["split"],
            "rows": after["rows"],
            "metrics": after["metrics"],
            "by": f"the builder, on these {BITS}-bit weights, through the serving code, when they were made",
        }
    ]
    card["before_storing"] = before["metrics"]
    (folder / "card.json").write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    main = after["main"]
    size = (folder / "model.safetensors").stat().st_size / 1e6
    return (
        f"checkpoint in {folder}, {size:.1f} MB: {after['split']} {main} {after['metrics'][main]:.2f} as stored, "
        f"{before['metrics'][main]:.2f} before"
    )


def make_card(context: Context, done: Mapping[str, Done], command: str) -> dict[str, Any]:
    """What made the checkpoint: data, hyperparameters, command."""
    trained = done["fine-tune"].figures
    rows = done["data"].figures
    return {
        "title": f"{context.task.title}, fine-tuned from {context.source.name}",
        "task": context.task.name,
        "base_model": context.source.name,
        "data": {split: figures["rows"] for split, figures in rows.items()},
        "train": asdict(context.task.train),
        "seed": context.seed,
        "batches": trained["batches"],
        "best_at_batch": trained["batch"],
        "training_seconds": trained["seconds"],
        "weights": f"{BITS}-bit, symmetric, a scale a row; embeddings and matrices; the rest float32",
        "command": command,
    }
