"""tasks.toml: the tasks, as typed and checked objects."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ernie_assets
from ernie_runtime.errors import ManifestError
from ernie_runtime.kinds import get_kind, kind_names
from ernie_runtime.manifest import OWN_SPLITS, Label, Limits, Manifest, Variant

from ..errors import ConfigError
from .schema import are_strings, typed
from .serving import ServingConfig
from .variants import CompressConfig, check_variants

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ASSETS = Path(ernie_assets.__file__).resolve().parent
TASKS_FILE = Path(__file__).resolve().parents[1] / "tasks.toml"
PROFILES = ("demo", "full")
PIPELINES = ("steps", "fused")


@dataclass(frozen=True)
class DataConfig:
    """Where a task's labelled text is and how to read it."""

    format: str  # a reader in ernie_builders/readers
    folder: str  # under --data-dir; NAME.tar.xz beside it will do
    train: str = ""  # none: the task is only evaluated and published
    dev: str = ""  # none: the reader splits `train`
    fields: Mapping[str, str] = field(default_factory=dict)  # the reader's own column names
    sample: str = ""  # a small set that ships, under builders/ernie_assets


@dataclass(frozen=True)
class TrainConfig:
    """Hyperparameters of fine-tuning."""

    epochs: float = 3.0
    batch_size: int = 32
    learning_rate: float = 5e-5
    warmup: float = 0.1  # part of all steps
    weight_decay: float = 0.01
    dropout: float = 0.1
    max_grad_norm: float = 1.0
    accumulate: int = 1  # batches a step
    evals_per_epoch: int = 2
    patience: int = 4  # stop after so many evaluations without a better dev metric
    windows_per_text: int = 0  # train on so many windows of a long text, from its start; 0: on all
    dev_rows: int = 0  # choose the best checkpoint on so many dev rows; 0: on all
    amp: bool = True  # mixed precision where the device has it

    def __post_init__(self) -> None:
        for name in (
            "epochs",
            "batch_size",
            "learning_rate",
            "max_grad_norm",
            "accumulate",
            "evals_per_epoch",
            "patience",
        ):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"train.{name} is {getattr(self, name)}; it must be above 0")
        for name in ("windows_per_text", "dev_rows"):
            if getattr(self, name) < 0:
                raise ConfigError(f"train.{name} is {getattr(self, name)}; it must be 0 (all) or above")
        for name in ("warmup", "dropout", "weight_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"train.{name} is {getattr(self, name)}; it must be at least 0 and below 1")


@dataclass(frozen=True)
class TaskConfig:
    """One task as declared."""

    name: str
    kind: str
    title: str
    labels: tuple[Label, ...]
    limits: Limits
    data: DataConfig
    train: TrainConfig
    base_model: str = "embedded"
    checkpoint: str = ""  # a fine-tuned checkpoint that ships, under builders/ernie_assets; used by the demo profile
    variants: tuple[str, ...] = ("fp32",)  # recipes, see config/variants.py; the first is the measure
    compress: CompressConfig = field(default_factory=CompressConfig)
    serving: ServingConfig = field(default_factory=ServingConfig)  # queues, and how micro-batches are cut
    examples: tuple[tuple[str, ...], ...] = ()  # texts for demos and warm-up
    options: Mapping[str, Any] = field(default_factory=dict)  # the kind's own, as in the manifest
    transfer: Mapping[str, DataConfig] = field(default_factory=dict)  # further sets to evaluate on
    pipeline: str = "steps"  # fused: publish TASK_fused too, all three steps in one process

    def __post_init__(self) -> None:
        if self.pipeline not in PIPELINES:
            raise ConfigError(f"pipeline {self.pipeline!r} is none of {', '.join(PIPELINES)}")


def _examples(raw: Any, where: str) -> tuple[tuple[str, ...], ...]:
    """A text, or a list of texts where the kind has several inputs, each."""
    items: list[tuple[str, ...]] = []
    for item in raw if isinstance(raw, list) else [None]:
        texts = [item] if isinstance(item, str) else item
        if not isinstance(texts, list) or not are_strings(texts):
            raise ConfigError(f"{where}: expected a list of texts")
        items.append(tuple(texts))
    return tuple(items)


def _check_labels(task: TaskConfig, where: str) -> None:
    """What a manifest with these labels would be refused for later."""
    variants = (Variant("fp32", "", "", 0, "", 0.0),)
    try:
        manifest = Manifest(
            task.name,
            task.kind,
            task.title,
            0,
            task.labels,
            task.limits,
            0,
            "",
            variants,
            "fp32",
            main_metric="",
            options=task.options,
        )
        kind = get_kind(task.kind)
        kind.check(manifest)
    except ManifestError as error:
        raise ConfigError(f"{where}: {error}") from None
    for example in task.examples:
        if len(example) != len(kind.inputs):
            raise ConfigError(
                f"{where}.examples: {example!r} has {len(example)} texts, the kind takes {len(kind.inputs)}"
            )


def _labels(raw: Any, where: str, folder: Path) -> tuple[Label, ...]:
    """Labels are a list of names, a table id = name, or a file (`id` or `id TAB name` a line) beside the tasks file or
    under builders/ernie_assets."""
    if isinstance(raw, str):
        path = next((path for path in (folder / raw, ASSETS / raw) if path.is_file()), folder / raw)
        try:
            rows = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{where}: {path}: cannot be read ({error})") from None
        parts = [row.partition("\t") for row in rows if row.strip()]
        return tuple(Label(id, name or id) for id, _, name in parts)
    if isinstance(raw, Mapping):
        return tuple(Label(str(k), str(v)) for k, v in raw.items())
    if isinstance(raw, list) and raw and all(isinstance(x, str) for x in raw):
        return tuple(Label(x, x) for x in raw)
    raise ConfigError(f"{where}: expected a list of names or a table id = name")


def _task(name: str, raw: Any, where: str, folder: Path) -> TaskConfig:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where}: expected a table")
    raw = dict(raw)
    for needed in ("kind", "limits", "data"):
        if needed not in raw:
            raise ConfigError(f"{where}: field {needed!r} is missing")
    if not isinstance(raw["kind"], str) or raw["kind"] not in kind_names():
        raise ConfigError(f"{where}: kind {raw['kind']!r} is none of {', '.join(kind_names())}")
    if not name.replace("_", "").isalnum() or not name.isascii():
        raise ConfigError(f"{where}: a task's name is made of ASCII letters, digits and _")
    if "name" in raw:
        raise ConfigError(f"{where}: unknown field 'name': the table's own name is the task's")
    raw["labels"] = _labels(raw["labels"], f"{where}.labels", folder) if "labels" in raw else ()
    raw["limits"] = typed(Limits, raw["limits"], f"{where}.limits")
    raw["data"] = typed(DataConfig, raw["data"], f"{where}.data")
    raw["train"] = typed(TrainConfig, raw.get("train", {}), f"{where}.train")
    transfer = raw.get("transfer", {})
    if not isinstance(transfer, Mapping):
        raise ConfigError(f"{where}.transfer: expected a table of tables")
    for split in OWN_SPLITS:
        if split in transfer:
            raise ConfigError(f"{where}.transfer.{split}: is what the task's own rows are called; choose another name")
    raw["transfer"] = {split: typed(DataConfig, data, f"{where}.transfer.{split}") for split, data in transfer.items()}
    raw["compress"] = typed(CompressConfig, raw.get("compress", {}), f"{where}.compress")
    raw["serving"] = typed(ServingConfig, raw.get("serving", {}), f"{where}.serving")
    variants = raw.get("variants", ["fp32"])
    raw["variants"] = tuple(variants) if isinstance(variants, list) else variants
    raw["examples"] = _examples(raw.get("examples", []), f"{where}.examples")
    raw.setdefault("title", name)
    task = typed(TaskConfig, {"name": name, **raw}, where)
    try:
        check_variants(task.variants, task.compress.calibration)
    except ConfigError as error:
        raise ConfigError(f"{where}.variants: {error}") from None
    _check_labels(task, where)
    return task


def load_tasks(path: Path = TASKS_FILE) -> dict[str, TaskConfig]:
    """All tasks of a TOML file by name, in its order; ConfigError (file, task, field) where it is wrong."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file (--tasks-file)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    tasks = raw.get("tasks")
    if not isinstance(tasks, Mapping) or not tasks:
        raise ConfigError(f"{path}: no [tasks.NAME] table")
    _check_names(tasks, path.name)
    return {name: _task(name, task, f"{path.name}: tasks.{name}", path.parent) for name, task in tasks.items()}


def _check_names(tasks: Mapping[str, Any], where: str) -> None:
    """No task may be called what a model of another one is called (T_tokenizer, T_encoder_V, T_fused, T_V, ...)."""
    for name in tasks:
        for other, raw in tasks.items():
            if name != other and name.startswith(f"{other}_"):
                part = name.removeprefix(f"{other}_")
                variants = raw.get("variants", ()) if isinstance(raw, Mapping) else ()
                models = {
                    "tokenizer",
                    "postprocess",
                    "fused",
                    "fp32",
                    *(variants if isinstance(variants, list) else ()),
                }
                if part in models or part.startswith("encoder_"):
                    raise ConfigError(f"{where}: tasks.{name} is the name of a model of task {other}; choose another")
