"""presets.toml: published hyperparameters by task and base model, as typed and checked objects."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from ..checkpoints.base_models import (
    EMBEDDED,
    BaseModel,
    Embeddings,
    Encoder,
    did_you_mean,
    folder_of,
    is_random,
    nearest,
    unpublished_model,
)
from ..config.schema import parse_table
from ..config.tasks import TaskConfig, TrainConfig
from ..errors import ConfigError
from .shipped import SHIPPED, ShippedPreset, shipped_preset

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRESETS_FILE = Path(__file__).resolve().parents[1] / "presets.toml"
PUBLISHED, ALL = "published", "all"  # what --preset takes besides names
SIZES = ("base", "large")
LANGUAGES = ("zh", "en")
ROW_FIELDS = ("source", "max_length")  # what a row may change besides fields of TrainConfig


@dataclass(frozen=True)
class Entry:
    """What a task needs for an entry in a tasks file, besides its preset."""

    labels: tuple[str, ...]
    format: str
    train: str
    dev: str
    fields: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)  # "hidden" stands for the base model's hidden size
    remark: str = ""  # what the files need to be read so


@dataclass(frozen=True)
class Preset:
    """A published set of hyperparameters for a task."""

    name: str
    title: str
    kind: str
    language: str
    source: str  # a key of [sources]
    metric: str  # of the figures
    max_length: int  # tokens
    train: Mapping[str, Any]  # fields of TrainConfig, for all models
    by: Mapping[str, Mapping[str, Any]]  # model or size -> fields of TrainConfig and ROW_FIELDS
    doc_stride: int = 0  # tokens; 0: none published
    seed: int = 0  # 0: none published
    options: Mapping[str, Any] = field(default_factory=dict)  # of the kind
    tasks: tuple[str, ...] = ()  # what it is for
    notes: tuple[str, ...] = ()  # published, and no field of TrainConfig
    entry: Entry | None = None


@dataclass(frozen=True)
class Choice:
    """A preset for one base model."""

    preset: Preset
    model: BaseModel
    row: str  # the key of `by` that the figures are from
    exact: bool  # they are published for this very model
    train: Mapping[str, Any]  # fields of TrainConfig
    max_length: int
    source: str  # where they are published

    @property
    def origin(self) -> str:
        """Whose figures these are."""
        if self.exact:
            return f"published for {self.model.name}" + (f" (size {self.row})" if self.row in SIZES else "")
        row = f"size {self.row} (ERNIE 1.0 and 2.0)" if self.row in SIZES else self.row
        return f"fallback: this set has nothing for {self.model.name}; taken from {row}"

    def apply(self, task: TaskConfig) -> TaskConfig:
        """The task with these hyperparameters and lengths; a stride that is not published keeps its share of a window.

        Fields of TrainConfig that the preset does not name stay as the task has them.
        """
        limits = task.limits
        stride = self.preset.doc_stride or round(self.max_length * limits.doc_stride / limits.max_length)
        stride = min(max(stride, 1), self.max_length - 2)
        return replace(
            task,
            limits=replace(limits, max_length=self.max_length, doc_stride=stride),
            options={**task.options, **self.preset.options},
            train=parse_table(TrainConfig, {**vars(task.train), **self.train}, f"preset {self.preset.name}"),
        )


@dataclass(frozen=True)
class Presets:
    """All of a presets file."""

    sources: Mapping[str, str]
    models: Mapping[str, BaseModel]
    presets: Mapping[str, Preset]
    shipped: ShippedPreset = field(default_factory=ShippedPreset)

    def preset(self, name: str) -> Preset:
        """The preset called so; ConfigError with close names."""
        if name in self.presets:
            return self.presets[name]
        if name == ALL:
            raise ConfigError(f"--preset {ALL} only lists the presets: add --dry-run")
        near = did_you_mean(name, [PUBLISHED, SHIPPED, ALL, *self.presets])
        raise ConfigError(f"--preset {name}: no such preset{near or f'; `--preset {ALL} --dry-run` lists them'}")

    def of_task(self, task: str) -> Preset | None:
        """What `--preset published` gives to a task: the first preset for it."""
        return next(iter(self.all_of_task(task)), None)

    def all_of_task(self, task: str) -> list[Preset]:
        """The presets for a task."""
        return [preset for preset in self.presets.values() if task in preset.tasks]

    def model(self, name: str) -> BaseModel:
        """The shape of a published name, `embedded`, `random:...` or a directory; ConfigError with close names."""
        if name in self.models:
            return self.models[name]
        folder = folder_of(name)
        if folder is None and not is_random(name):
            near = did_you_mean(name, [EMBEDDED, *self.models])
            raise ConfigError(f"--base-model {name}: no directory, and no model of {PRESETS_FILE.name}{near}")
        return unpublished_model(name, folder)

    def choose(self, preset: Preset, base_model: str) -> Choice:
        """The preset's figures for a model; where it has none of its own, those of what the model is like.

        A set with a single row serves every model; a model of no published name is like the one nearest in size.
        """
        model = self.model(base_model)
        own = [model.name] + [model.size] * (model.language == preset.language)
        known = model
        if model.name not in self.models:
            known = nearest(model, (m for m in self.models.values() if m.language == preset.language))
        rows = [*own, known.name, known.size, *known.like, *(preset.by if len(preset.by) == 1 else ())]
        found = [row for row in rows if row in preset.by]
        if not found:
            raise ConfigError(f"preset {preset.name} has nothing for {model.name}, nor for what it is like")
        changes = dict(preset.by[found[0]])
        source, length = changes.pop("source", preset.source), changes.pop("max_length", preset.max_length)
        train = {**preset.train, **changes}
        return Choice(preset, model, found[0], found[0] in own, train, length, self.sources[source])


def preset_for(name: str, base_model: str) -> Choice:
    """The preset `name` for a base model: a published name, `embedded` or a local directory."""
    presets = load_presets()
    return presets.choose(presets.preset(name), base_model)


def choice_for(preset: str, task: str, base_model: str) -> Choice | None:
    """What `--preset` means for a task; None without one, or where nothing is published for the task."""
    if preset in ("", SHIPPED):
        return None
    presets = load_presets()
    found = presets.of_task(task) if preset == PUBLISHED else presets.preset(preset)
    return presets.choose(found, base_model) if found else None


def task_names(preset: str, known: Iterable[str]) -> list[str]:
    """The known tasks that `--preset` means where --tasks names none: those it is for."""
    if preset in ("", PUBLISHED):
        return list(known)
    if preset == SHIPPED:
        return load_presets().shipped.names(list(known))
    tasks = load_presets().preset(preset).tasks
    return [name for name in known if name in tasks]


@cache
def load_presets(path: Path = PRESETS_FILE) -> Presets:
    """All of a presets file; ConfigError (file, table, field) where it is wrong."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    with _missing(path.name):
        sources, shared = raw["sources"], raw["shared"]
        models = {n: _model(n, m, f"{path.name}: models.{n}") for n, m in raw["models"].items()}
        presets = {
            n: _preset(n, p, shared, sources, models, f"{path.name}: presets.{n}") for n, p in raw["presets"].items()
        }
    return Presets(sources, models, presets, shipped_preset(raw.get(SHIPPED, {}), f"{path.name}: {SHIPPED}"))


@contextmanager
def _missing(where: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"{where}: {error if not isinstance(error, KeyError) else f'{error} is missing'}") from None


def _tuples(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}


def _model(name: str, raw: Mapping[str, Any], where: str) -> BaseModel:
    raw = _tuples(raw)
    raw["encoder"] = parse_table(Encoder, raw.get("encoder"), f"{where}.encoder")
    raw["embeddings"] = parse_table(Embeddings, raw.get("embeddings"), f"{where}.embeddings")
    return parse_table(BaseModel, {"name": name, **raw}, where)


def _preset(
    name: str,
    raw: Mapping[str, Any],
    shared: Mapping[str, Any],
    sources: Mapping[str, str],
    models: Mapping[str, BaseModel],
    where: str,
) -> Preset:
    raw = {"tasks": (name,), **_tuples(raw)}
    if "entry" in raw:
        raw["entry"] = parse_table(Entry, _tuples(raw["entry"]), f"{where}.entry")
    raw["train"] = {**shared, **raw.get("train", {})}
    preset = parse_table(Preset, {"name": name, **raw}, where)
    if preset.language not in LANGUAGES:
        raise ConfigError(f"{where}.language: {preset.language!r} is none of {', '.join(LANGUAGES)}")
    for key, row in preset.by.items():
        at = f"{where}.by.{key}"
        if key not in (*models, *SIZES):
            raise ConfigError(f"{at}: no model, nor a size{did_you_mean(key, [*models, *SIZES])}")
        for needed in ("epochs", "learning_rate", "batch_size"):
            if needed not in {**preset.train, **row}:
                raise ConfigError(f"{at}: {needed} is missing")
        if row.get("source", preset.source) not in sources:
            raise ConfigError(f"{at}: source {row.get('source', preset.source)!r} is none of {', '.join(sources)}")
        changed = {k: v for k, v in {**preset.train, **row}.items() if k not in ROW_FIELDS}
        parse_table(TrainConfig, changed, at)
    return preset
