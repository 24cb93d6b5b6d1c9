"""tasks.toml: the tasks and how each is read, trained, compressed and served."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ernie_assets
from ernie_runtime.errors import TextFileError
from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.kinds import get_kind, kind_names
from ernie_runtime.kinds.hierarchical_classification import parents_of
from ernie_runtime.manifest import OVERFLOW, OWN_SPLITS, Label, Limits, Manifest, Variant
from ernie_runtime.text_files import read_text

from ..errors import ConfigError
from .limits import with_defaults
from .names import model_name
from .schema import Faults, parse_table
from .serving import ServingConfig
from .train import TrainConfig
from .variants import CALIBRATIONS, CompressConfig, check_variants

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ASSETS = Path(ernie_assets.__file__).resolve().parent
TASKS_FILE = Path(__file__).resolve().parents[1] / "tasks.toml"
PROFILES = ("demo", "full")
TEST = "test"  # what the task's own test set is called in figures
PIECES, CHARACTERS = "pieces", "characters"
Examples = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where a task's labelled text is, and how to read it."""

    format: str = ""  # name of a module in ernie_builders/readers; empty: seen in the file, with its columns
    folder: str = "."  # under --data-dir, or an archive FOLDER.tar.xz there
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
    examples: Examples = ()  # texts for demos and warm-up, one for each input of the kind
    options: Json = field(default_factory=dict)  # of the kind, as in the manifest
    transfer: Mapping[str, DataConfig] = field(default_factory=dict)  # further data sets to evaluate on, by name
    tokens: str = ""  # of a SentencePiece vocabulary: "pieces" or "characters"; empty: what the kind needs

    def __post_init__(self) -> None:
        faults = Faults()
        if self.tokens not in ("", PIECES, CHARACTERS):
            faults.lines.append(f"tokens {self.tokens!r} is neither {PIECES} nor {CHARACTERS}")
        faults.check()


@dataclass(frozen=True, kw_only=True)
class TasksFile:
    """A tasks file in which single tasks may be faulty."""

    tasks: Mapping[str, TaskConfig]  # by name, in the order of the file
    faults: Mapping[str, ConfigError]  # of the other tasks, by name

    def name_of(self, given: str) -> str:
        """The name of the task that a person means: by its name, or its title; as given where there is none."""
        if given in self.tasks or given in self.faults:
            return given
        titled = [task.name for task in self.tasks.values() if task.title.casefold() == given.casefold()]
        return titled[0] if len(titled) == 1 else model_name(given) if model_name(given) in self.faults else given

    def check(self) -> None:
        """ConfigError of the first faulty task, if any is."""
        for fault in self.faults.values():
            raise fault


def _parse_examples(raw: Any, where: str) -> Examples:
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


def _check_manifest(raw: Json, name: str, labels: tuple[Label, ...], where: str) -> None:
    """ConfigError for what the task's manifest would be refused for once the model is trained.

    Only of what its fields say together: each of them is checked by itself. Of a task whose limits are faulty, what is
    wrong whatever they are.
    """
    try:
        choices = [parse_table(Limits, raw["limits"], "")]
    except (ConfigError, KeyError):
        choices = [Limits(max_length=4096, doc_stride=1, overflow=overflow) for overflow in OVERFLOW]
    found = [_manifest_faults(raw, name, labels, limits, where) for limits in choices]
    faults = Faults()
    faults.lines += [line for line in found[0] if all(line in lines for lines in found)]
    faults.check()


def _manifest_faults(raw: Json, name: str, labels: tuple[Label, ...], limits: Limits, where: str) -> list[str]:
    try:
        task = TaskConfig(
            name=name,
            kind=raw["kind"],
            title=name,
            labels=labels,
            limits=limits,
            data=DataConfig(),
            options=dict(raw.get("options", {})),
        )
    except (ConfigError, TypeError, ValueError, KeyError):
        return []
    faults = Faults()
    with faults.collect(where):
        get_kind(task.kind).check(bare_manifest(task))
    return faults.lines


def _check_examples(examples: Examples, kind: str, where: str) -> None:
    """ConfigError for examples that have not as many texts as the kind takes."""
    inputs, faults = len(get_kind(kind).inputs), Faults()
    for example in examples:
        if len(example) != inputs:
            faults.lines.append(f"{where}: {example!r} has {len(example)} texts, the kind takes {inputs}")
    faults.check()


def _parse_labels(raw: Any, where: str, folder: Path) -> tuple[Label, ...]:
    """From a list of names, a table `id = name`, or the name of a file with lines `id` or `id TAB name`.

    The file is in the folder of the tasks file, or in ernie_assets.
    """
    if isinstance(raw, str):
        if Path(raw).is_absolute() or ".." in Path(raw).parts:
            raise ConfigError(f"{where}: {raw!r} is no file beside the tasks file, or below it")
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


def _named_data(file: str, where: str, folder: Path) -> JsonObject:
    """The table `data` of a task that names only the file of its training rows."""
    if (folder / file).is_dir():
        raise ConfigError(f'{where}: {file!r} is a folder: name the files in it, {{ folder = "{file}", train = ... }}')
    path = Path(file)
    return {"folder": str(path.parent), "train": path.name}


def _parse_task(name: str, raw: Any, where: str, folder: Path) -> TaskConfig:
    """The task of a table; ConfigError with all that is wrong with it."""
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where}: expected a table")
    faults, kind = Faults(), raw.get("kind")
    known = isinstance(kind, str) and kind in kind_names()
    if "kind" in raw and not known:
        faults.lines.append(f"{where}: kind {kind!r} is none of {', '.join(kind_names())}")
    if not name.replace("_", "").isalnum():
        faults.lines.append(f"{where}: a task's name is made of letters, digits and _")
    if not name.isascii() and raw.get("title", name) != name:
        faults.lines.append(f"{where}: a task with this name is found by it as its title: leave `title` out")
    if "name" in raw:
        faults.lines.append(f"{where}: unknown field 'name': the table's own name is the task's")
    transfer = raw.get("transfer", {})
    for split in (*OWN_SPLITS, TEST):
        if isinstance(transfer, Mapping) and split in transfer:
            faults.lines.append(
                f"{where}.transfer.{split}: is what the task's own rows are called; choose another name"
            )
    if known:
        raw = {**raw, "limits": with_defaults(str(kind), raw.get("limits", {}))}
    if isinstance(raw.get("data"), str):
        file, raw = raw["data"], {**raw, "data": {}}  # whose fault is known, where it is one
        with faults.collect():
            raw["data"] = _named_data(file, f"{where}.data", folder)
    table: JsonObject = {"title": name, **raw, "name": model_name(name), "labels": (), "examples": ()}
    if not known and "kind" in raw:
        table["kind"] = kind_names()[0]  # its fault is known
    with faults.collect():
        labels = _parse_labels(raw["labels"], f"{where}.labels", folder) if "labels" in raw else ()
        table["labels"] = labels = _with_parents(labels) if kind == "hierarchical_classification" else labels
        if known:
            _check_manifest(raw, model_name(name), labels, where)
    with faults.collect():
        table["examples"] = _parse_examples(raw.get("examples", []), f"{where}.examples")
        if known:
            _check_examples(table["examples"], str(kind), f"{where}.examples")
    with faults.collect():
        task = parse_table(TaskConfig, table, where)
    with faults.collect(f"{where}.variants"):
        _check_variants(raw)
    faults.check()
    return task


def _check_variants(raw: Json) -> None:
    """ConfigError for variants that cannot be made; their type, and that of the calibration, is checked elsewhere."""
    variants, compress = raw.get("variants", ["fp32"]), raw.get("compress", {})
    calibration = compress.get("calibration", CALIBRATIONS[0]) if isinstance(compress, Mapping) else CALIBRATIONS[0]
    if isinstance(variants, list) and all(isinstance(name, str) for name in variants):
        check_variants(variants, str(calibration))


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
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file (--tasks-file)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    return parse_tasks(text, path)


def parse_tasks(text: str, path: Path) -> TasksFile:
    """As `read_tasks`; text: what the file holds, or will hold."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = "" if path.suffix == ".toml" else f"; `ernie-triton init {path}` writes a tasks file for labelled text"
        raise ConfigError(f"{path}: not TOML: {error}{hint}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, tables nested too deep
        raise ConfigError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from None
    tables = raw.get("tasks")
    if not isinstance(tables, Mapping) or not tables:
        raise ConfigError(f"{path}: no [tasks.NAME] table")
    tasks: dict[str, TaskConfig] = {}
    faults: dict[str, ConfigError] = {}
    for name, table in tables.items():
        found = Faults()
        with found.collect():
            _check_name(name, tables, path.name)
        with found.collect():
            shown = name if name.isprintable() else repr(name)  # a name must not write to the terminal
            tasks[model_name(name)] = _parse_task(name, table, f"{path.name}: tasks.{shown}", path.parent)
        try:
            found.check()
        except ConfigError as error:
            tasks.pop(model_name(name), None)
            faults[model_name(name)] = error
    return TasksFile(tasks=tasks, faults=faults)


def _check_name(name: str, tables: Json, where: str) -> None:
    """No task may have the name of another task's model (T_tokenizer, T_encoder_V, T_V, ...)."""
    for other, raw in tables.items():
        if name == other or not name.startswith(f"{other}_"):
            continue
        suffix = name.removeprefix(f"{other}_")
        variants = raw.get("variants", ()) if isinstance(raw, Mapping) else ()
        suffixes = {"tokenizer", "postprocess", "fp32", *(variants if isinstance(variants, list) else ())}
        if suffix in suffixes or suffix.startswith("encoder_"):
            raise ConfigError(f"{where}: tasks.{name} is the name of a model of task {other}; choose another")
