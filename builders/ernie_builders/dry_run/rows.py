"""The rows of a plan about one task: model, preset, lengths, hyperparameters, data, steps."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from ernie_runtime.json_types import Json
from ernie_runtime.kinds import kind_names

from ..checkpoints.base_models import folder_of, is_download, is_random
from ..config.names import model_name
from ..config.tasks import TaskConfig
from ..config.train import TrainConfig
from ..errors import BuildError, DataError
from ..kinds import get_builder_kind
from ..presets.loading import load_presets
from ..presets.presets import SHIPPED, Choice
from ..readers import Example
from ..readers.files.holdout import hold_out
from ..stages.data import dev_rows, holds_out
from ..stages.request import BuildRequest
from .lookup import DataFile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Rows = Iterator[tuple[str, str]]
"""(label, text); a row without a label continues the one above it."""
MAX_LABELS = 8  # that are shown


@dataclass(frozen=True, kw_only=True)
class Source:
    """The weights that a task starts from."""

    name: str  # a base model, or a checkpoint's directory
    checkpoint: Path | None  # given with --checkpoint
    ready: bool  # fine-tuned: nothing is trained


def task_rows(request: BuildRequest, task: TaskConfig, choice: Choice | None, source: Source) -> Rows:
    """The model, the preset, labels, lengths and hyperparameters."""
    yield from model_rows(source)
    if choice is not None:
        yield from preset_rows(request, choice)
    elif request.overrides.preset == SHIPPED:
        changes = load_presets().shipped.changes(task.name)
        shown = f", but {', '.join(f'{name}={value}' for name, value in changes.items())}" if changes else ""
        yield "preset", f"{SHIPPED}: as {request.tasks_file.name} has it{shown}"
    elif request.overrides.preset:
        yield "preset", f"none is published for {task.name}: {request.tasks_file.name} decides"
    yield "kind", task.kind
    names = [label.name for label in task.labels]
    more = f", ... ({len(names) - MAX_LABELS} more)" if len(names) > MAX_LABELS else ""
    yield "labels", f"{len(names)}: {', '.join(names[:MAX_LABELS])}{more}" if names else "none"
    if task.options:
        options = (f"{k} {len(v)} values" if isinstance(v, list) else f"{k} {v}" for k, v in task.options.items())
        yield "options", ", ".join(options)
    limits, given = task.limits, _own_table(request, task.name).get("limits", {})
    length, stride = (
        f"preset {choice.preset.name}" if choice else request.tasks_file.name if name in given else "by the kind"
        for name in ("max_length", "doc_stride")
    )
    if choice and not choice.preset.doc_stride:
        stride = "in proportion"
    yield (
        "lengths",
        f"max_length {limits.max_length} tokens ({length}), doc_stride {limits.doc_stride} ({stride}), "
        f"longer texts: {limits.overflow}",
    )
    if not trains(task):
        yield "training", "none: the kind has nothing to fine-tune; the weights are published as they are"
    elif source.ready:
        yield "training", "none: the checkpoint is published as it is (--base-model, --preset or --profile full train)"
    else:
        origins = origins_of(request, task.name, choice)
        for number, field in enumerate(fields(TrainConfig)):
            value = getattr(task.train, field.name)
            if value is None:
                value, origins[field.name] = _base_rate(source)
            yield "" if number else "hyperparameters", f"{field.name:<17}{value!s:<9}{origins[field.name]}"


def _base_rate(source: Source) -> tuple[str, str]:
    """The learning rate of a model where nobody states one, and why."""
    try:
        return f"{load_presets().model(source.name).learning_rate:g}", "default for the base model's size"
    except BuildError:
        return "?", "default for the base model's size, which is not known"


def trains(task: TaskConfig) -> bool:
    """Whether the kind has something to fine-tune; assumed of a kind that this version lacks."""
    return task.kind not in kind_names() or get_builder_kind(task.kind).trains


def model_rows(source: Source) -> Rows:
    """Shape and number of parameters: of a published model from presets.toml, of a directory from its config.json."""
    label, folder = "checkpoint" if source.ready else "base model", folder_of(source.name)
    where = f", {folder}" if folder and folder != Path(source.name) else ""
    where = ", downloaded by PaddleNLP when the build runs" if is_download(source.name) else where
    yield label, source.name + (", drawn from --seed" if is_random(source.name) else where)
    try:
        model = load_presets().model(source.name)
    except BuildError as error:
        yield "shape", f"not known: {error}"
        return
    encoder, tables = model.encoder, model.embeddings
    language = f", language {model.language}" if model.language else ""
    used = f" ({tables.entries:,} used)" if tables.entries else ""
    yield (
        "shape",
        f"{model.shape} (layers x hidden x heads), feed-forward {encoder.intermediate}, "
        f"vocabulary {tables.vocabulary:,}{used}, {tables.positions} positions{language}",
    )
    words = tables.vocabulary * encoder.hidden
    yield "parameters", f"{model.parameters / 1e6:.1f} M ({words / 1e6:.1f} M of them word embeddings), and the head"


def preset_rows(request: BuildRequest, choice: Choice) -> Rows:
    """Where the preset's values are from, the figure published with them, and what the preset does not set."""
    preset, model = choice.preset, choice.model
    yield "preset", f"{preset.name}: {choice.origin}"
    yield "", f"source: {choice.source}"
    if model.language and model.language != preset.language:
        yield "", f"the preset is for models of language {preset.language}, {model.name} is {model.language}"
    figure = model.figures.get(preset.name)
    if figure is not None:
        shown = " / ".join(f"{value:.2f}" for value in (figure if isinstance(figure, list | tuple) else [figure]))
        caveat = "" if choice.exact else ", with hyperparameters that are not published"
        yield "", f"{preset.metric} of {model.name} there: {shown} on the dev set, full training set{caveat}"
    if preset.seed and preset.seed != request.seed:
        yield "", f"seed {preset.seed} there; here --seed {request.seed}"
    for note in preset.notes:
        yield "", f"besides: {note}"
    presets = (other for task in preset.tasks for other in load_presets().all_of_task(task))
    names = [other.name for other in presets if other is not preset]
    if names:
        yield "", f"other presets for this task: {', '.join(names)}"


def origins_of(request: BuildRequest, task: str, choice: Choice | None) -> dict[str, str]:
    """Where the value of each hyperparameter comes from: --set, the preset, the tasks file or the default."""
    raw = _own_table(request, task).get("train", {})
    origins = dict.fromkeys((field.name for field in fields(TrainConfig)), "default")
    origins.update(dict.fromkeys(raw, request.tasks_file.name))
    if choice is not None:
        origins.update(dict.fromkeys(choice.train, f"preset {choice.preset.name}"))
    return {**origins, **dict.fromkeys(request.overrides.hyperparameters, "--set")}


def _own_table(request: BuildRequest, task: str) -> Json:
    """What the tasks file has of a task."""
    tables: Mapping[str, Json] = tomllib.loads(request.tasks_file.read_text(encoding="utf-8"))["tasks"]
    return next((table for name, table in tables.items() if model_name(name) == task), {})


def data_rows(request: BuildRequest, task: TaskConfig, source: Source, files: Sequence[DataFile]) -> Rows:
    """Data files, and the number of training steps if the number of rows is known."""
    for number, file in enumerate(files):
        yield "" if number else "data", f"{file.split:<6}{file.path}: {file.state}"
    if not files:
        yield "data", "no files known"
    if not source.ready and trains(task):
        train = next((file.examples for file in files if file.split == "train"), None)
        rows, held_out = (None, "") if train is None else _training_rows(request, task, list(train))
        yield "steps", training_steps(task.train, rows, len(request.devices.split(","))) + held_out


def _training_rows(request: BuildRequest, task: TaskConfig, examples: list[Example]) -> tuple[int, str]:
    """How many of the training file's rows are trained on, and what the others are held out for."""
    dev: list[Example] = []
    if holds_out(task, ready=False):
        with contextlib.suppress(DataError):  # too few of them, which is listed with the faults
            examples, dev = dev_rows(examples, Path(), request.seed)
    examples, chosen_by = hold_out(examples, task.train.choose_rows, request.seed)
    uses = [(len(dev), "to evaluate on"), (len(chosen_by), "to choose the best checkpoint by")]
    shown = [f"{rows:,} rows {use}" for rows, use in uses if rows]
    return len(examples), f"; held out: {', '.join(shown)}" if shown else ""


def training_steps(train: TrainConfig, rows: int | None, devices: int) -> str:
    """Optimizer steps and batches, as the trainer counts them; rows: of the training set, None if unknown."""
    batches_per_step = train.accumulate * devices
    size = f"{train.batch_size} rows" + (f" x {batches_per_step}" if batches_per_step > 1 else "")
    if rows is None:
        return f"of {size}; how many is known once the training rows are"
    per_epoch = math.ceil(rows / train.batch_size)
    batches = max(batches_per_step, int(train.epochs * per_epoch) // batches_per_step * batches_per_step)
    epochs = "epoch" if train.epochs == 1 else "epochs"
    windows = "" if train.windows_per_text == 1 else "; more where texts are longer than a window"
    return f"{batches // batches_per_step:,} of {size} ({train.epochs:g} {epochs} of {per_epoch:,} batches){windows}"
