"""tasks.toml: the tasks and how each is read, trained, compressed and served."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ernie_assets
from ernie_runtime.errors import ManifestError, TextFileError
from ernie_runtime.json_types import Json
from ernie_runtime.kinds import get_kind, kind_names
from ernie_runtime.kinds.hierarchical_classification import parents_of
from ernie_runtime.manifest import OWN_SPLITS, Label, Limits, Manifest, Variant
from ernie_runtime.text_files import read_text

from ..errors import ConfigError
from .schema import parse_table
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
TEST = "test"  # what the task's own test set is called in figures
PIECES, CHARACTERS = "pieces", "characters"


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where a task's labelled text is, and how to read it."""

    format: str  # name of a module in ernie_builders/readers
    folder: str  # under --data-dir, or an archive FOLDER.tar.xz there
    train: str = ""  # file name; empty: the task is only evaluated and published
    dev: str = ""  # file name; empty: the reader splits `train`, or a tenth of its rows is held out
    test: str = ""  # file name of a test set, which is evaluated along with dev and takes part in no choice
    fields: Mapping[str, str] = field(default_factory=dict)  # columns and settings of the format
    sample: str = ""  # a small data set that ships, a path under ernie_assets

    @property
    def splits_itself(self) -> bool:
        """Whether the reader sends some rows of `train` to dev."""
        return "dev_percent" in self.fields

    @property
    def test_set(self) -> DataConfig | None:
        """The test file as a data set to evaluate on, every row of it."""
        if not self.test:
            return None
        fields = {name: value for name, value in self.fields.items() if name != "dev_percent"}
        return replace(self, train="", dev=self.test, test="", fields=fields)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Hyperparameters of fine-tuning."""

    epochs: float = 3.0
    batch_size: int = 32  # rows
    learning_rate: float | None = None  # None: the base model's (base_models.py)
    warmup: float = 0.1  # share of all steps
    weight_decay: float = 0.01
    dropout: float = 0.1
    max_grad_norm: float = 1.0
    accumulate: int = 1  # batches per optimizer step
    evals_per_epoch: int = 2
    patience: int = 4  # stop after this many evaluations without a better metric on the held-out rows
    windows_per_text: int = 0  # train on this many windows from the start of a long text; 0: on all
    choose_rows: int = (
        1000  # training rows held out (at most a tenth) to choose the best checkpoint by; 0: keep the last
    )
    lora: int = 0  # rank of LoRA matrices beside the encoder's linear layers, trained in their place; 0: train all
    lora_alpha: float = 16.0  # what they compute is multiplied by alpha / rank
    lora_dropout: float = 0.0  # of their inputs
    lora_rate: float = 5.0  # their learning rate, as a multiple of learning_rate
    amp: bool = True  # mixed precision where the device supports it

    def __post_init__(self) -> None:
        positive = (
            "epochs",
            "batch_size",
            "learning_rate",
            "max_grad_norm",
            "accumulate",
            "evals_per_epoch",
            "patience",
            "lora_alpha",
            "lora_rate",
        )
        for name in positive:
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"train.{name} is {value}; it must be above 0")
        for name in ("windows_per_text", "choose_rows", "lora"):
            if getattr(self, name) < 0:
                raise ConfigError(f"train.{name} is {getattr(self, name)}; it must be 0 or above")
        for name in ("warmup", "dropout", "weight_decay", "lora_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"train.{name} is {getattr(self, name)}; it must be at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """One task, as its table declares it."""

    name: str
    kind: str  # name of a module in ernie_runtime/kinds
    title: str
    labels: tuple[Label, ...]
    limits: Limits
    data: DataConfig
    train: TrainConfig = field(default_factory=TrainConfig)
    base_model: str = "embedded"  # what --base-model takes
    checkpoint: str = ""  # a fine-tuned checkpoint that ships, a path under ernie_assets; the demo profile uses it
    variants: tuple[str, ...] = ("fp32",)  # recipes (config/variants.py); the first one is the baseline
    compress: CompressConfig = field(default_factory=CompressConfig)
    serving: ServingConfig = field(default_factory=ServingConfig)
    examples: tuple[tuple[str, ...], ...] = ()  # texts for demos and warm-up, one for each input of the kind
    options: Json = field(default_factory=dict)  # of the kind, as in the manifest
    transfer: Mapping[str, DataConfig] = field(default_factory=dict)  # further data sets to evaluate on, by name
    pipeline: str = "steps"  # fused: publish TASK_fused too, with all three steps in one process
    tokens: str = ""  # of a SentencePiece vocabulary: "pieces" or "characters"; empty: what the kind needs

    def __post_init__(self) -> None:
        if self.pipeline not in PIPELINES:
            raise ConfigError(f"pipeline {self.pipeline!r} is none of {', '.join(PIPELINES)}")
        if self.tokens not in ("", PIECES, CHARACTERS):
            raise ConfigError(f"tokens {self.tokens!r} is neither {PIECES} nor {CHARACTERS}")


@dataclass(frozen=True, kw_only=True)
class TasksFile:
    """A tasks file in which single tasks may be faulty."""

    tasks: Mapping[str, TaskConfig]  # by name, in the order of the file
    faults: Mapping[str, ConfigError]  # of the other tasks, by name

    def check(self) -> None:
        """ConfigError of the first faulty task, if any is."""
        for fault in self.faults.values():
            raise fault


def _parse_examples(raw: Any, where: str) -> tuple[tuple[str, ...], ...]:
    """From a list whose items are a text, or a list of texts where the kind has several inputs."""
    examples: list[tuple[str, ...]] = []
    for item in raw if isinstance(raw, list) else [None]:
        texts = [item] if isinstance(item, str) else item
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"{where}: expected a list of texts")
        examples.append(tuple(texts))
    return tuple(examples)


def bare_manifest(task: TaskConfig) -> Manifest:
    """The task's manifest without anything of a model; ManifestError for a task that can have none."""
    return Manifest(
        task=task.name,
        kind=task.kind,
        title=task.title,
        version=0,
        labels=task.labels,
        limits=task.limits,
        vocabulary_size=0,
        vocabulary_sha256="",
        variants=(Variant(name="fp32", engine="", file="", bytes=0, sha256="", max_abs_error=0.0),),
        recommended="fp32",
        main_metric="",
        options=task.options,
    )


def _check_manifest(task: TaskConfig, where: str) -> None:
    """ConfigError for what the task's manifest would be refused for once the model is trained."""
    try:
        manifest = bare_manifest(task)
        kind = get_kind(task.kind)
        kind.check(manifest)
    except ManifestError as error:
        raise ConfigError(f"{where}: {error}") from None
    for example in task.examples:
        if len(example) != len(kind.inputs):
            raise ConfigError(
                f"{where}.examples: {example!r} has {len(example)} texts, the kind takes {len(kind.inputs)}"
            )


def _parse_labels(raw: Any, where: str, folder: Path) -> tuple[Label, ...]:
    """From a list of names, a table `id = name`, or the name of a file with lines `id` or `id TAB name`.

    The file is in the folder of the tasks file, or in ernie_assets.
    """
    if isinstance(raw, str):
        path = next((path for path in (folder / raw, ASSETS / raw) if path.is_file()), folder / raw)
        try:
            lines = read_text(path).lines()
        except TextFileError as error:
            raise ConfigError(f"{where}: {error}") from None
        rows = [[cell.strip() for cell in line.split("\t")] for _, line in lines if line.strip()]
        return tuple(Label(row[0], row[1] if len(row) > 1 and row[1] else row[0]) for row in rows)
    if isinstance(raw, Mapping):
        return tuple(Label(str(id), str(name)) for id, name in raw.items())
    if isinstance(raw, list) and raw and all(isinstance(name, str) for name in raw):
        return tuple(Label(name, name) for name in raw)
    raise ConfigError(f"{where}: expected a list of names or a table id = name")


def _with_parents(labels: tuple[Label, ...]) -> tuple[Label, ...]:
    """The labels of a tree, each parent that is missing (in a file of leaves only) before its first child."""
    names, complete = {label.name for label in labels}, list[Label]()
    for label in labels:
        complete += [Label(parent, parent) for parent in parents_of(label.name) if parent and parent not in names]
        names.update(parents_of(label.name))
        complete.append(label)
    return tuple(complete)


def _parse_task(name: str, raw: Any, where: str, folder: Path) -> TaskConfig:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where}: expected a table")
    for required in ("kind", "limits", "data"):
        if required not in raw:
            raise ConfigError(f"{where}: field {required!r} is missing")
    if not isinstance(raw["kind"], str) or raw["kind"] not in kind_names():
        raise ConfigError(f"{where}: kind {raw['kind']!r} is none of {', '.join(kind_names())}")
    if not name.replace("_", "").isalnum() or not name.isascii():
        raise ConfigError(f"{where}: a task's name is made of ASCII letters, digits and _")
    if "name" in raw:
        raise ConfigError(f"{where}: unknown field 'name': the table's own name is the task's")
    transfer = raw.get("transfer", {})
    for split in (*OWN_SPLITS, TEST):
        if isinstance(transfer, Mapping) and split in transfer:
            raise ConfigError(f"{where}.transfer.{split}: is what the task's own rows are called; choose another name")
    labels = _parse_labels(raw["labels"], f"{where}.labels", folder) if "labels" in raw else ()
    table = {
        "title": name,
        **raw,
        "name": name,
        "labels": _with_parents(labels) if raw["kind"] == "hierarchical_classification" else labels,
        "examples": _parse_examples(raw.get("examples", []), f"{where}.examples"),
    }
    task = parse_table(TaskConfig, table, where)
    try:
        check_variants(task.variants, task.compress.calibration)
    except ConfigError as error:
        raise ConfigError(f"{where}.variants: {error}") from None
    _check_manifest(task, where)
    return task


def load_tasks(path: Path = TASKS_FILE) -> dict[str, TaskConfig]:
    """All tasks of a TOML file by name, in its order; ConfigError (file, task, field) where any of them is wrong."""
    file = read_tasks(path)
    file.check()
    return dict(file.tasks)


def read_tasks(path: Path = TASKS_FILE) -> TasksFile:
    """The tasks of a TOML file, with a ConfigError (file, task, field) for each faulty one.

    ConfigError where the file itself cannot be read.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file (--tasks-file)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    tables = raw.get("tasks")
    if not isinstance(tables, Mapping) or not tables:
        raise ConfigError(f"{path}: no [tasks.NAME] table")
    tasks: dict[str, TaskConfig] = {}
    faults: dict[str, ConfigError] = {}
    for name, table in tables.items():
        try:
            _check_name(name, tables, path.name)
            tasks[name] = _parse_task(name, table, f"{path.name}: tasks.{name}", path.parent)
        except ConfigError as error:
            faults[name] = error
    return TasksFile(tasks=tasks, faults=faults)


def _check_name(name: str, tables: Json, where: str) -> None:
    """No task may have the name of another task's model (T_tokenizer, T_encoder_V, T_fused, T_V, ...)."""
    for other, raw in tables.items():
        if name == other or not name.startswith(f"{other}_"):
            continue
        suffix = name.removeprefix(f"{other}_")
        variants = raw.get("variants", ()) if isinstance(raw, Mapping) else ()
        suffixes = {"tokenizer", "postprocess", "fused", "fp32", *(variants if isinstance(variants, list) else ())}
        if suffix in suffixes or suffix.startswith("encoder_"):
            raise ConfigError(f"{where}: tasks.{name} is the name of a model of task {other}; choose another")
