"""The configuration of a checkpoint, typed: the shape of its encoder, and what a task adds to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ernie_runtime.json_types import Json

from ..errors import CheckpointError
from . import ernie_params
from .architectures import architecture_of
from .checksums import check_shipped

# PaddleNLP's older name, and what the ERNIE repository wrote before PaddleNLP.
CONFIG_FILES = ("config.json", "model_config.json", ernie_params.CONFIG)
REQUIRED = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
EXPECTED: Mapping[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a string"),
    "bool": ((bool,), "true or false"),
    "Mapping[str, str]": ((dict,), "an object"),
    "Mapping[str, Any]": ((dict,), "an object"),
}


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """What config.json says, under PaddleNLP's names; None where it says nothing, so that ErnieConfig's default holds.

    The order of the fields is that of the file which `write_checkpoint` writes.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int | None = None
    hidden_act: str | None = None
    max_position_embeddings: int | None = None
    type_vocab_size: int | None = None
    task_type_vocab_size: int | None = None
    use_task_id: bool | None = None
    task_id: int | None = None
    initializer_range: float | None = None
    layer_norm_eps: float | None = None
    pad_token_id: int | None = None
    id2label: Mapping[str, str] | None = None  # label of each class index, as a string
    task_options: Mapping[str, Any] | None = None  # what training learnt besides weights (`BuilderKind.learn`)

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    def to_json(self) -> dict[str, Any]:
        """The fields that are set, as JSON data."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}

    def without_task(self) -> EncoderConfig:
        """The encoder's part alone: no labels, no options."""
        return replace(self, id2label=None, task_options=None)


def parse_config(raw: Any, where: Path | str) -> EncoderConfig:
    """From the configuration of any architecture and form, as that of an ERNIE; other fields are left out.

    CheckpointError, beginning with `where`, for a missing field, a value of the wrong type, or one that asks for what
    ERNIE does not compute.
    """
    raw = unwrapped(raw, where)
    missing = [name for name in REQUIRED if name not in raw]
    if missing:
        raise CheckpointError(f"{where}: has no {', '.join(missing)}")
    invalid = [name for name in REQUIRED if not isinstance(raw[name], int) or raw[name] < 1]
    if invalid or raw["hidden_size"] % raw["num_attention_heads"]:
        name = invalid[0] if invalid else "hidden_size"
        raise CheckpointError(
            f"{where}: {name} is {raw[name]!r}, expected a whole number above 0"
            + ("" if invalid else f" that num_attention_heads ({raw['num_attention_heads']}) divides")
        )
    raw = architecture_of(raw, where).as_ernie(raw, where)
    values = {field.name: raw[field.name] for field in fields(EncoderConfig) if raw.get(field.name) is not None}
    for field in fields(EncoderConfig):
        types, description = EXPECTED[str(field.type).removesuffix(" | None")]
        if field.name in values and not isinstance(values[field.name], types):
            raise CheckpointError(f"{where}: {field.name} is {values[field.name]!r}, expected {description}")
    return EncoderConfig(**values)


def unwrapped(raw: Any, where: Path | str) -> Json:
    """The fields of the encoder: PaddleNLP 2.3 nested them in `init_args`; CheckpointError for what is no object."""
    while isinstance(raw, dict) and isinstance(raw.get("init_args"), list) and raw["init_args"]:
        raw = raw["init_args"][0]
    if not isinstance(raw, dict):
        raise CheckpointError(f"{where}: expected a JSON object")
    return raw


def read_config(folder: Path) -> EncoderConfig:
    """The configuration of a model directory, without reading its weights; CheckpointError where it cannot be used."""
    return parse_config(*stored_config(folder))


def stored_config(folder: Path) -> tuple[Json, Path]:
    """What the configuration of a model directory says, under its own names, and its file; CheckpointError."""
    if not folder.is_dir():
        reason = "a file; give the directory it lies in" if folder.exists() else "no such directory"
        raise CheckpointError(f"{folder}: {reason}")
    path = next((folder / name for name in CONFIG_FILES if (folder / name).is_file()), None)
    if path is None:
        raise CheckpointError(
            f"{folder}: no config.json (nor PaddleNLP's older model_config.json, nor ernie_config.json)"
        )
    check_shipped(path)
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path}: not JSON ({error})") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from None
    raw = unwrapped(raw, path)
    return (ernie_params.as_paddlenlp(raw, folder) if path.name == ernie_params.CONFIG else raw), path
