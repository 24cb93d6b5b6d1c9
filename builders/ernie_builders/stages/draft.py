"""A task's checkpoint and manifest before anything is exported: enough for cutting texts and decoding answers."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.manifest import Manifest, Variant
from ernie_runtime.text.tokenizer import Tokenizer

from ..checkpoints.checkpoint import Checkpoint, read_checkpoint
from ..checkpoints.encoder_config import EncoderConfig, read_config
from ..config.tasks import CHARACTERS, PIECES, TaskConfig, bare_manifest
from ..errors import ConfigError
from ..kinds import get_builder_kind
from .context import Context
from .results import FineTuned
from .stage import Output

BEST = "best"  # the checkpoint in the folder of a stage that trains


def changed_fields(config: Any) -> JsonObject:
    """A dataclass's fields that are not at their defaults, so that a new hyperparameter does not change old keys."""
    return {f.name: value for f in fields(config) if (value := getattr(config, f.name)) != f.default}


def tokenizer_for(task: TaskConfig, tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer of a checkpoint, reading texts as the task does: by character, or as pieces.

    ConfigError where the task asks for pieces and labels each token.
    """
    kind = get_builder_kind(task.kind)
    if task.tokens == PIECES and kind.tags_tokens:
        fault = f"{task.kind} labels each token, and a piece may cover two"
        raise ConfigError(f'tasks.{task.name}.tokens "{PIECES}": {fault}; leave it out')
    by_character = task.tokens == CHARACTERS or (not task.tokens and kind.by_character)
    return tokenizer.for_characters() if by_character else tokenizer


def draft_manifest(task: TaskConfig, tokenizer: Tokenizer, learnt: Json | None = None) -> Manifest:
    """Version 0 with one placeholder variant; learnt: options from training (`BuilderKind.learn`)."""
    return replace(
        bare_manifest(task),
        vocabulary_size=tokenizer.vocab_size,
        vocabulary_sha256=tokenizer.fingerprint,
        variants=(
            Variant(name="fp32", engine="onnxruntime", file="model.onnx", bytes=0, sha256="", max_abs_error=0.0),
        ),
        examples=task.examples,
        options={**(learnt or {}), **task.options},
        main_metric=get_builder_kind(task.kind).main_metric,
    )


def fine_tuned(output: Output[FineTuned]) -> Checkpoint:
    """The checkpoint that fine-tuning left, or a variant's training."""
    return read_checkpoint(output.folder / BEST)


def config_of(output: Output[FineTuned]) -> EncoderConfig:
    """The checkpoint's configuration, without reading its weights."""
    return read_config(output.folder / BEST)


def manifest_of(context: Context, output: Output[FineTuned], tokenizer: Tokenizer) -> Manifest:
    """The task's manifest with what fine-tuning learnt besides weights."""
    return draft_manifest(context.task, tokenizer, config_of(output).task_options)
