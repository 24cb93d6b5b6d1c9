"""What the files of a fine-tuned checkpoint say about its task."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.json_types import Json

from ..checkpoints.encoder_config import CONFIG_FILES, read_config, stored_config
from ..checkpoints.ernie_params import CONFIG as ERNIE_CONFIG
from ..checkpoints.ernie_params import variables_folder
from ..checkpoints.tokenizer_settings import CONFIG as TOKENIZER_CONFIG
from ..checkpoints.weight_formats import WEIGHT_FILES
from ..errors import CheckpointError, ConfigError
from ..readers.sniff.folder import label_lines

SHORTEST = 8  # tokens; a smaller model_max_length is none
POSITIONS = 512  # where config.json names none, as in ErnieConfig
KINDS = (
    (r".*ForSequenceClassification", "sequence_classification"),
    (r".*ForTokenClassification", "token_classification"),
    (r".*ForQuestionAnswering", "question_answering"),
    (r".*ForMaskedLM", "fill_mask"),
)
LABELLED = ("sequence_classification", "pair_classification", "token_classification", "hierarchical_classification")
LABEL_FILES = ("label.txt", "labels.txt", "label_list.txt", "classes.txt")


@dataclass(frozen=True, kw_only=True)
class Described:
    """A task, as its checkpoint describes it."""

    folder: Path  # with the weights
    kind: str
    labels: tuple[str, ...]
    max_length: int  # tokens
    origins: tuple[str, ...]  # for a person: where kind and labels are from


def describe(folder: Path, kind: str, labels: Path | None) -> Described:
    """What a checkpoint is for; kind, labels (a file, one a line): as given, empty where the checkpoint must say.

    CheckpointError or ConfigError where neither says it.
    """
    folder = weights_folder(folder)
    config = read_config(folder)
    path, raw = _outer_config(folder)
    origins = []
    if not kind:
        kind, reason = _kind_of(raw, path)
        origins.append(reason)
    names: tuple[str, ...] = ()
    if kind in LABELLED:
        names, reason = _labels_of(folder, labels, config.id2label or {}, path)
        origins.append(reason)
        if len(names) == 1:
            fault = "has one label" if "id2label" in reason else f"{reason}: one line"
            raise CheckpointError(f"{path}: {fault} ({names[0]}): a regression is not served")
    elif labels is not None:
        raise ConfigError(f"--labels {labels}: the kind {kind} has no labels")
    length = int(min(config.max_position_embeddings or POSITIONS, _stated_length(folder)))
    return Described(folder=folder, kind=kind, labels=names, max_length=length, origins=tuple(origins))


def weights_folder(folder: Path) -> Path:
    """The folder itself, or the best checkpoint-N in a Trainer's folder that has no weights of its own.

    The last one where trainer_state.json names no best one, or one that is gone.
    """
    if not folder.is_dir() or any((folder / name).is_file() for name in WEIGHT_FILES) or variables_folder(folder):
        return folder
    steps = {int(m[1]): path for path in folder.iterdir() if (m := re.fullmatch(r"checkpoint-(\d+)", path.name))}
    if not steps:
        return folder
    last = steps[max(steps)]
    try:
        state: Json = json.loads((last / "trainer_state.json").read_text(encoding="utf-8"))
        best = last.parent / Path(state["best_model_checkpoint"]).name
    except (OSError, ValueError, KeyError, TypeError):
        return last
    return best if best in steps.values() else last


def _stated_length(folder: Path) -> float:
    """Tokens that the tokenizer's files say are read at most; infinity where they say none."""
    try:
        settings: Json = json.loads((folder / TOKENIZER_CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return math.inf
    except ValueError as error:
        raise CheckpointError(f"{folder / TOKENIZER_CONFIG}: not JSON ({error})") from None
    length = settings.get("model_max_length")
    return length if isinstance(length, int | float) and length >= SHORTEST else math.inf


def _outer_config(folder: Path) -> tuple[Path, Json]:
    """The configuration with the class of the whole model, which PaddleNLP 2.3 wrote around the encoder's."""
    path = next(folder / name for name in CONFIG_FILES if (folder / name).is_file())
    if path.name == ERNIE_CONFIG:
        return path, stored_config(folder)[0]
    raw: Json = json.loads(path.read_text(encoding="utf-8"))
    return path, raw


def _kind_of(raw: Json, path: Path) -> tuple[str, str]:
    stated = raw.get("architectures") or raw.get("init_class") or ""
    name = str(stated[0] if isinstance(stated, list) else stated)
    if raw.get("problem_type") == "multi_label_classification":
        return "hierarchical_classification", f"{path.name}: problem_type is multi_label_classification"
    for pattern, kind in KINDS:
        if re.fullmatch(pattern, name):
            return kind, f"{path.name}: {name}"
    what = f"is for class {name}, which" if name else "names no class (architectures), so it"
    raise CheckpointError(
        f"{path}: {what} does not say what the model is fine-tuned for: give --kind, or train it with "
        f"`ernie-triton build --base-model {path.parent}`"
    )


def _labels_of(folder: Path, given: Path | None, id2label: Json, path: Path) -> tuple[tuple[str, ...], str]:
    beside = [folder / name for name in LABEL_FILES] + [folder.parent / name for name in LABEL_FILES]
    names = tuple(str(id2label[index]) for index in sorted(id2label, key=int))
    unnamed = all(re.fullmatch(r"LABEL_\d+", name) for name in names)
    file = given or (next((file for file in beside if file.is_file()), None) if unnamed else None)
    if file is not None:
        if not file.is_file():
            raise ConfigError(f"--labels {file}: no such file")
        return tuple(name for name, _ in label_lines(file)), f"labels of {file}"
    if unnamed:
        raise ConfigError(f"{path}: does not name the labels (id2label): give --labels FILE, one per line, in order")
    return names, f"{path.name}: id2label"
