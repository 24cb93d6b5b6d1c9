"""Published hyperparameters by task and base model, and which of them fit a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from ernie_runtime.command_line import did_you_mean
from ernie_runtime.json_types import Json

from ..checkpoints.base_models import BaseModel, downloadable, folder_of, is_random, nearest, unpublished_model
from ..checkpoints.encoders import ENCODERS
from ..checkpoints.known_models import ALIASES, known_models, unread_fault, unread_model
from ..config.schema import parse_table
from ..config.tasks import TaskConfig
from ..config.train import TrainConfig
from ..errors import ConfigError

FILE_NAME = "presets.toml"
PUBLISHED, SHIPPED, ALL = "published", "shipped", "all"  # what --preset takes besides names
SIZES = ("base", "large")
LANGUAGES = ("zh", "en")
ROW_FIELDS = ("source", "max_length")  # what a row may set besides fields of TrainConfig


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a task needs for an entry in a tasks file, besides its preset."""

    labels: tuple[str, ...]
    format: str
    train: str
    dev: str
    fields: Mapping[str, str] = field(default_factory=dict)
    options: Json = field(default_factory=dict)  # "hidden" stands for the base model's hidden size
    remark: str = ""  # what must be done to the files first


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A published set of hyperparameters for a task."""

    name: str
    title: str
    kind: str
    language: str
    source: str  # a key of [sources]
    metric: str  # of the published dev figures
    max_length: int  # tokens
    train: Json  # fields of TrainConfig, for all models
    by: Mapping[str, Json]  # model or size -> a row: fields of TrainConfig and ROW_FIELDS
    doc_stride: int = 0  # tokens; 0: none published
    seed: int = 0  # 0: none published
    options: Json = field(default_factory=dict)  # of the kind
    tasks: tuple[str, ...] = ()  # what it is for
    notes: tuple[str, ...] = ()  # what is published besides and is no field of TrainConfig
    entry: Entry | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A preset for one base model."""

    preset: Preset
    model: BaseModel
    row: str  # the key of `by` that the values are from
    exact: bool  # they are published for this very model
    train: Json  # fields of TrainConfig
    max_length: int  # tokens
    source: str  # where they are published

    @property
    def origin(self) -> str:
        """Whose figures these are."""
        if self.exact:
            return f"published for {self.model.name}" + (f" (size {self.row})" if self.row in SIZES else "")
        row = f"size {self.row} (ERNIE 1.0 and 2.0)" if self.row in SIZES else self.row
        return f"fallback: this set has nothing for {self.model.name}; taken from {row}"

    def apply(self, task: TaskConfig) -> TaskConfig:
        """The task with these hyperparameters and lengths; fields of TrainConfig that the preset does not set stay.

        If no stride is published, it keeps its ratio to max_length.
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


@dataclass(frozen=True, kw_only=True)
class ShippedPreset:
    """The table [shipped] of presets.toml: which checkpoints ship, and how they are trained."""

    tasks: tuple[str, ...] = ()  # in the order of training: a task comes after the one whose checkpoint it starts from
    shared: Json = field(default_factory=dict)  # fields of TrainConfig, for all of them
    train: Mapping[str, Json] = field(default_factory=dict)  # task -> fields of TrainConfig

    def changes(self, task: str) -> Json:
        """The table's changes to a task's hyperparameters."""
        return {**self.shared, **self.train.get(task, {})}

    def apply(self, task: TaskConfig) -> TaskConfig:
        """The task with the table's changes to its hyperparameters."""
        values = {**vars(task.train), **self.changes(task.name)}
        return replace(task, train=parse_table(TrainConfig, values, f"shipped.train.{task.name}"))

    def tasks_among(self, names: Collection[str]) -> list[str]:
        """Those of its tasks that are among `names`, in the order of training."""
        return [name for name in self.tasks if name in names]


@dataclass(frozen=True, kw_only=True)
class Presets:
    """All of a presets file."""

    sources: Mapping[str, str]
    models: Mapping[str, BaseModel]
    presets: Mapping[str, Preset]
    shipped: ShippedPreset = field(default_factory=ShippedPreset)

    def preset(self, name: str) -> Preset:
        """The preset with this name; ConfigError with similar names."""
        if name in self.presets:
            return self.presets[name]
        if name == ALL:
            raise ConfigError(f"--preset {ALL} only lists the presets: add --dry-run")
        near = did_you_mean(name, [PUBLISHED, SHIPPED, ALL, *self.presets])
        raise ConfigError(f"--preset {name}: no such preset{near or f'; `--preset {ALL} --dry-run` lists them'}")

    def of_task(self, task: str) -> Preset | None:
        """The preset that `--preset published` uses for a task: the first one for it."""
        return next(iter(self.all_of_task(task)), None)

    def all_of_task(self, task: str) -> list[Preset]:
        """The presets for a task."""
        return [preset for preset in self.presets.values() if task in preset.tasks]

    def model(self, name: str) -> BaseModel:
        """The shape of a published name, `embedded`, `random:...` or a directory; ConfigError with similar names."""
        if ALIASES.get(name, name) in self.models:
            return self.models[ALIASES.get(name, name)]
        folder = folder_of(name)
        if folder is None and not is_random(name):
            model = downloadable(name)
            if model is not None:
                return model
            if unread_model(name):
                raise ConfigError(unread_fault(name))
            near = did_you_mean(name, [*ENCODERS, *self.models, *known_models()])
            raise ConfigError(f"--base-model {name}: no directory, and no model that PaddleNLP downloads{near}")
        return unpublished_model(name, folder)

    def choose(self, preset: Preset, base_model: str) -> Choice:
        """The preset's hyperparameters for a model; if it has none of its own, those of the model most like it.

        A preset with a single row serves every model. A model that is not published is most like the one nearest in
        size.
        """
        model = self.model(base_model)
        exact = [model.name] + [model.size] * (model.language == preset.language)
        published = model
        if model.name not in self.models:
            published = nearest(model, (m for m in self.models.values() if m.language == preset.language))
        fallbacks = [published.name, published.size, *published.like, *(preset.by if len(preset.by) == 1 else ())]
        row = next((row for row in (*exact, *fallbacks) if row in preset.by), None)
        if row is None:
            raise ConfigError(f"preset {preset.name} has nothing for {model.name}, nor for what it is like")
        values = dict(preset.by[row])
        source, max_length = values.pop("source", preset.source), values.pop("max_length", preset.max_length)
        return Choice(
            preset=preset,
            model=model,
            row=row,
            exact=row in exact,
            train={**preset.train, **values},
            max_length=max_length,
            source=self.sources[source],
        )
