"""Checkpoints on disk: reading PaddleNLP and Hugging Face directories, reading and writing this project's own.

Inside the builder a checkpoint is a dict of float32 arrays under PaddleNLP's names (`ernie.encoder.layers.0...`),
2-D weights of linear layers stored [in, out] as Paddle has them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..config.tasks import ASSETS
from ..errors import CheckpointError
from .checksums import check_shipped
from .delta import Delta, Reference, decode, encode, fingerprint
from .delta_files import HEADER, PACKED, read_delta, write_delta
from .weight_formats import WEIGHT_FILES, Weights, read_float

# Encoders that ship: a checkpoint may hold only what training changed. Those under encoders/ are earlier embedded ones.
BASES = {
    "embedded": ASSETS / "encoder",
    **{path.name: path for path in sorted((ASSETS / "encoders").glob("*")) if path.is_dir()},
}
VOCABULARY = "vocab.txt"


@dataclass(frozen=True)
class Checkpoint:
    """A model directory: its configuration, weights and vocabulary."""

    where: str
    config: dict[str, Any]
    weights: Weights
    vocabulary: Path

    @property
    def name(self) -> str:
        """What to call it in a manifest or card: never a path of this machine."""
        return Path(self.where).name

    @property
    def has_head(self) -> bool:
        """Whether a task head is among the weights."""
        return any(not name.startswith("ernie.") for name in self.weights)


def read_checkpoint(folder: Path) -> Checkpoint:
    """A PaddleNLP or Hugging Face directory, or one this project wrote; CheckpointError says what is missing."""
    if not folder.is_dir():
        what = "a file; give the directory it lies in" if folder.exists() else "no such directory"
        raise CheckpointError(f"{folder}: {what}")
    check_shipped(folder)
    for name in ("config.json", "model_config.json"):
        if (folder / name).is_file():
            try:
                raw = json.loads((folder / name).read_text(encoding="utf-8"))
            except ValueError as error:
                raise CheckpointError(f"{folder / name}: not JSON ({error})") from None
            config = ernie_config(raw, folder / name)
            break
    else:
        raise CheckpointError(f"{folder}: no config.json (or PaddleNLP's older model_config.json)")
    if (folder / HEADER).is_file():
        found, (weights, vocabulary) = folder / PACKED, _read_delta(folder)
    else:
        found, weights = read_float(folder)
        vocabulary = folder / VOCABULARY
    if not vocabulary.is_file():
        raise CheckpointError(f"{folder}: no {VOCABULARY}")
    if not any(name.startswith("ernie.encoder.layers.") for name in weights):
        raise CheckpointError(f"{found}: not an ERNIE encoder (found {', '.join(list(weights)[:3])}, ...)")
    _check_vocabulary(vocabulary, weights)
    return Checkpoint(str(folder), config, weights, vocabulary)


def _read_delta(folder: Path) -> tuple[Weights, Path]:
    """Weights and vocabulary of the compact form, which may lean on an encoder and a vocabulary that ship."""
    found = read_delta(folder)
    base = None
    if found.base is not None:
        base = _base_weights(found.base.name, folder)
        has = fingerprint(base)
        if has != found.base.sha256:
            raise CheckpointError(
                f"{folder}: holds what training changed in the encoder {found.base.name} {found.base.sha256[:12]}, "
                f"but {BASES[found.base.name]} is {has[:12]}: put that encoder back, or train again from this one"
            )
    weights = decode(found, base, folder / PACKED)
    if found.vocabulary is None:
        return weights, folder / VOCABULARY
    vocabulary = _shipped_vocabularies().get(found.vocabulary.name)
    if vocabulary is None or _sha256(vocabulary) != found.vocabulary.sha256:
        raise CheckpointError(
            f"{folder}: needs the vocabulary {found.vocabulary.name} {found.vocabulary.sha256[:12]}, "
            f"{'which is not there' if vocabulary is None else f'and {vocabulary} is another'}: put that file back"
        )
    return weights, vocabulary


def _base_weights(name: str, folder: Path) -> Weights:
    if name not in BASES or not BASES[name].is_dir():
        where = f"it is not at {BASES[name]}" if name in BASES else f"known are {', '.join(BASES)}"
        raise CheckpointError(f"{folder}: holds what training changed in the encoder {name}, but {where}")
    return read_checkpoint(BASES[name]).weights


def _shipped_vocabularies() -> dict[str, Path]:
    """By the name of the encoder that has it, or of its file where it ships alone."""
    alone = {path.stem: path for path in sorted((ASSETS / "vocab").glob("*.txt"))}
    return alone | {name: path for name, folder in BASES.items() if (path := folder / VOCABULARY).is_file()}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_vocabulary(vocabulary: Path, weights: Weights) -> None:
    """Every entry has a row of the embeddings; spare rows are fine (ERNIE 3.0: 40,000 for 39,980 entries)."""
    table = weights.get("ernie.embeddings.word_embeddings.weight")
    entries = len(vocabulary.read_bytes().removesuffix(b"\n").split(b"\n"))
    if table is not None and len(table) < entries:
        raise CheckpointError(
            f"{vocabulary}: {entries:,} entries, but the word embeddings have {len(table):,} rows: "
            "not this model's vocabulary"
        )


def ernie_config(raw: Any, where: Path | str) -> dict[str, Any]:
    """The fields of ErnieConfig from any of the configurations there are; PaddleNLP 2.3 nested them in `init_args`."""
    while isinstance(raw, dict) and isinstance(raw.get("init_args"), list) and raw["init_args"]:
        raw = raw["init_args"][0]
    if not isinstance(raw, dict):
        raise CheckpointError(f"{where}: expected a JSON object")
    needed = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
    missing = [name for name in needed if name not in raw]
    if missing:
        raise CheckpointError(f"{where}: has no {', '.join(missing)}")
    wrong = [name for name in needed if not isinstance(raw[name], int) or raw[name] < 1]
    if wrong or raw["hidden_size"] % raw["num_attention_heads"]:
        name = wrong[0] if wrong else "hidden_size"
        raise CheckpointError(
            f"{where}: {name} is {raw[name]!r}, expected a whole number above 0"
            + ("" if wrong else f" that num_attention_heads ({raw['num_attention_heads']}) divides")
        )
    kept = (
        *needed,
        *("intermediate_size", "hidden_act", "max_position_embeddings", "type_vocab_size", "task_type_vocab_size"),
        *("use_task_id", "task_id", "initializer_range", "layer_norm_eps", "pad_token_id", "id2label"),
        "task_options",  # what training learnt besides weights (`BuilderKind.learn`)
    )
    return {name: raw[name] for name in kept if name in raw}


def write_checkpoint(folder: Path, config: dict[str, Any], weights: Weights, vocabulary: Path, bits: int = 32) -> None:
    """A directory that `read_checkpoint` (and, at 32 bits, PaddleNLP) reads; bits: 32 or 16.

    What the folder has in the compact form is removed.
    """
    from safetensors.numpy import save

    folder.mkdir(parents=True, exist_ok=True)
    stored = {name: np.ascontiguousarray(value, f"float{bits}") for name, value in weights.items()}
    for name in (HEADER, PACKED):
        (folder / name).unlink(missing_ok=True)
    # Not save_file: it has its own error for a full disk, which says nothing about the file.
    (folder / "model.safetensors").write_bytes(save(stored))
    _write_config(folder, config)
    (folder / VOCABULARY).write_bytes(vocabulary.read_bytes())


def write_compact(
    folder: Path, config: dict[str, Any], weights: Weights, vocabulary: Path, step: float, base: str | None
) -> Delta:
    """The compact form (checkpoints/delta.py), which `read_checkpoint` alone reads; other weights there are removed.

    base: the encoder of BASES that the weights were fine-tuned from, or None. A vocabulary that ships is not copied.
    """
    same = (name for name, path in _shipped_vocabularies().items() if path.read_bytes() == vocabulary.read_bytes())
    shipped = next(same, None)
    reference = shipped and Reference(shipped, _sha256(vocabulary))
    start = _base_weights(base, folder) if base else None
    packed = encode(weights, step, start, base or "", reference or None)
    folder.mkdir(parents=True, exist_ok=True)
    for name in WEIGHT_FILES:
        (folder / name).unlink(missing_ok=True)
    write_delta(folder, packed)
    _write_config(folder, config)
    if shipped:
        (folder / VOCABULARY).unlink(missing_ok=True)
    else:
        (folder / VOCABULARY).write_bytes(vocabulary.read_bytes())
    return packed


def _write_config(folder: Path, config: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
