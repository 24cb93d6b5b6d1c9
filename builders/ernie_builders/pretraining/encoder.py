"""The encoder that a pre-training leaves: a checkpoint directory that builders take as base model, with its card."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.text.tokenizer import Tokenizer

from ..checkpoints.base_models import folder_of
from ..checkpoints.checkpoint import write_checkpoint
from ..checkpoints.encoder_config import EncoderConfig
from ..checkpoints.pretraining_head import FILE as HEAD_FILE
from ..checkpoints.weight_formats import Weights
from ..training.log import LOG, read_rows
from ..training.state import replaced_folder
from .config import About
from .model import trained_weights
from .plot import plot
from .state import ENCODER
from .trainer import Pretrainer

CARD, README = "card.json", "README.md"
OF_A_RUN = ("steps", "tokens", "lengths", "objective", "mask_rate", "learning_rate", "batch_tokens", "seed", "command")


def write_encoder(
    folder: Path, config: EncoderConfig, encoder: Weights, heads: Weights, tokenizer: Tokenizer, bits: int
) -> None:
    """config.json, model.safetensors, vocab.txt, and mlm_head.safetensors if there are heads; bits: 4, 8, 16 or 32.

    In 4 and 8 bits (checkpoints/quantized.py) the heads have 16.
    """
    from safetensors.numpy import save

    write_checkpoint(folder, config, encoder, tokenizer, bits)
    if not heads:
        return
    arrays = {
        name.removeprefix("cls."): np.ascontiguousarray(value, f"float{max(bits, 16)}") for name, value in heads.items()
    }
    (folder / HEAD_FILE).write_bytes(save(arrays))


def save_encoder(trainer: Pretrainer, about: About, bits: int) -> None:
    """Write the trainer's encoder as it is now, whole or not at all, and the picture of the log."""
    job, output = trainer.job, trainer.job.output
    encoder, heads = trained_weights(trainer.model, job.config.sentence_tasks)
    config = job.start.config.without_task()
    card = make_card(trainer, about, encoder)
    with replaced_folder(output / ENCODER) as folder:
        write_encoder(folder, config, encoder, heads, job.tokenizer, bits)
        (folder / CARD).write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        (folder / README).write_text(readme(card), encoding="utf-8")
    plot(output, f"{card['shape']}, step {card['steps']:,}")


def make_card(trainer: Pretrainer, about: About, encoder: Weights) -> JsonObject:
    """Where the encoder comes from: settings, text, progress, held-out figures, hardware."""
    job, progress = trainer.job, trainer.progress
    config, evaluations = job.config, [row for row in read_rows(job.output / LOG) if "held_loss" in row]
    encoder_config = job.start.config
    figures = (
        {name: value for name, value in evaluations[-1].items() if name.startswith("held_")} if evaluations else {}
    )
    return {
        "shape": f"{encoder_config.num_hidden_layers} layers, hidden {encoder_config.hidden_size}, "
        f"{encoder_config.num_attention_heads} heads",
        "parameters": int(sum(value.size for value in encoder.values())),
        "vocabulary": f"{job.tokenizer.vocab_size:,} entries",
        "from": job.start.name,
        "before": runs_before(job.start.where),
        "text": about.text,
        "licence": about.licence,
        "steps": progress.step,
        "of_steps": config.steps,
        "tokens": progress.tokens,
        "seconds": round(progress.seconds),
        "lengths": [[stretch.length, stretch.share] for stretch in config.lengths],
        "objective": ["mlm", *config.sentence_tasks],
        "mask_rate": config.mask_rate,
        "learning_rate": config.learning_rate,
        "batch_tokens": config.batch_tokens * config.accumulate * trainer.ranks.count,
        "amp": config.amp,
        "seed": config.seed,
        **figures,
        "hardware": hardware(trainer.paddle, job.device, trainer.ranks.count),
        "command": about.command,
    }


def runs_before(where: str) -> list[JsonObject]:
    """The runs that made the initial weights, from the card beside them, in order."""
    folder = folder_of(where)
    path = None if folder is None else folder / CARD
    if path is None or not path.is_file():
        return []
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        figures = {name: value for name, value in card.items() if name in OF_A_RUN or name.startswith("held_")}
        return [*card.get("before", ()), {"from": card.get("from", ""), **figures}] if figures else []
    except (ValueError, AttributeError, TypeError):
        return []  # another tool's card


def hardware(paddle: Any, device: str, ranks: int) -> str:
    """The name of the device, and the number of processes."""
    if device.startswith("gpu"):
        return f"{ranks} x {paddle.device.cuda.get_device_name()}"
    model = ""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"CPU {model}, {os.environ.get('OMP_NUM_THREADS', '1')} threads, {ranks} process{'es' * (ranks > 1)}"


def readme(card: Json) -> str:
    """The card as a Markdown page."""
    rows = [
        ("shape", f"ERNIE: {card['shape']}; {card['parameters'] / 1e6:.2f} million parameters"),
        ("vocabulary", card["vocabulary"]),
        ("started from", card["from"]),
        ("trained on", f"{card['text']}; licence: {card['licence']}"),
        (
            "how far",
            f"{card['steps']:,} of {card['of_steps']:,} steps, {card['tokens']:,} tokens, {card['seconds']:,} s",
        ),
        ("objective", f"{', '.join(card['objective'])}; {100 * card['mask_rate']:.0f}% of the units hidden"),
        ("hardware", card["hardware"]),
        ("command", f"`{card['command']}`"),
    ]
    if "held_loss" in card:
        rows.insert(6, ("held-out", f"loss {card['held_loss']:.3f}, masked accuracy {card['held_accuracy']:.1f}%"))
    if earlier_runs := [run for run in card["before"] if "tokens" in run]:
        tokens = sum(run["tokens"] for run in earlier_runs)
        rows.insert(
            3, ("before that", f"{len(earlier_runs)} run{'s' * (len(earlier_runs) > 1)}, {tokens:,} tokens (card.json)")
        )
    lines = [f"| {name} | {str(value).replace('|', '/')} |" for name, value in rows]
    return "\n".join(["# Pre-trained encoder", "", "| | |", "|---|---|", *lines, ""])
