"""What a build would refuse, all of it, found without building."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..checkpoints.base_models import BaseModel
from ..config.tasks import TaskConfig
from ..config.variants import Recipe, parse_variant
from ..errors import BuildError, DataError
from ..framework import check_devices
from ..presets.loading import load_presets
from ..repository.staging import check_all_free
from ..stages.data import dev_rows, holds_out, reads_train_text
from ..stages.request import BuildRequest
from .lookup import DataFile, why_not_looked_up
from .rows import Source, trains

STOPS = "stops"  # in place of a stage's name


def repository_faults(request: BuildRequest, tasks: Sequence[TaskConfig]) -> list[str]:
    """Of the machine and of the repository: what concerns all tasks."""
    faults = []
    if request.until != "data":
        faults += _message_of(lambda: check_devices(request.device, request.devices))
    if request.until == "publish":
        faults += _message_of(lambda: check_all_free(request.output, tasks))
    return faults


def task_faults(
    request: BuildRequest, task: TaskConfig, source: Source, files: Sequence[DataFile], stopped: Exception | None
) -> list[str]:
    """Of a task: what stops its stages, then what else is wrong with its data and its settings.

    stopped: the fault that its stages would meet first.
    """
    own = [file for file in files if file.split in ("train", "dev")]
    trained = trains(task) and not source.ready
    faults = [str(stopped)] if stopped else []
    if why_not_looked_up(source.name, files):
        faults += _model_faults(task, source)
    if not isinstance(stopped, DataError):
        faults += [f"{file.path}: {file.state}" for file in own if file.missing and trained]
    for file in files:
        if file.fault and (file.split != "train" or trained or reads_train_text(task)):
            faults.append(file.fault)
    train = next((file for file in own if file.split == "train"), None)
    if train and train.examples and holds_out(task, source.ready):
        examples = list(train.examples)
        faults += _message_of(lambda: dev_rows(examples, train.path, request.seed))
    if request.until not in ("data", "finetune"):
        faults += _text_faults(task, source, own)
    return list(dict.fromkeys(faults))


def _model_faults(task: TaskConfig, source: Source) -> Iterator[str]:
    """Of a base model whose weights are not at hand: what its published shape tells."""
    try:
        model = load_presets().model(source.name)
    except BuildError as error:
        yield str(error)
        return
    positions = model.embeddings.positions
    if task.limits.max_length > positions:
        yield (
            f"tasks.{task.name}.limits.max_length is {task.limits.max_length}, {source.name} has {positions} positions"
        )


def _text_faults(task: TaskConfig, source: Source, files: Sequence[DataFile]) -> Iterator[str]:
    """Texts that stages after fine-tuning need, and that are nowhere."""
    at_hand = [file for file in files if not file.missing]
    if not task.examples and not at_hand:
        yield f"task {task.name}: no texts to check the export on; give `examples` in the tasks file"
    if (source.ready or not trains(task)) and not any(file.split == "train" for file in at_hand):
        model = load_presets().model(source.name)
        for name in task.variants:
            if _takes_training_text(parse_variant(name), model):
                yield f"task {task.name}, variant {name}: no training text; give --data-dir"


def _takes_training_text(recipe: Recipe, model: BaseModel) -> bool:
    """Whether examples do not suffice: for pruning and training, and for choosing words."""
    return recipe.pruned or recipe.precision == "qat8" or 0 < recipe.vocabulary <= model.embeddings.vocabulary


def _message_of(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except BuildError as error:
        return [str(error)]
    return []
