"""Look up what a build would find on this machine: data files, weights, finished stages. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ernie_runtime.kinds import kind_names

from ..checkpoints.base_models import folder_of, is_download
from ..checkpoints.weight_formats import stored_bytes
from ..config.tasks import ASSETS, TEST, DataConfig, TaskConfig, bare_manifest
from ..config.variants import FULL
from ..errors import BuildError, CheckpointError
from ..readers import Example
from ..stages.context import Context
from ..stages.data import check_examples, read_file
from ..stages.draft import draft_manifest, tokenizer_for
from ..stages.locate import unpacked_folder
from ..stages.order import run_task
from ..stages.stage import Finished, Output, Stage

MAX_WEIGHTS = 200_000_000  # bytes that are read to compute a stage's key; more takes longer than a plan may


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One data file of a task, as it is on this machine."""

    split: str
    path: Path
    state: str  # for a person: number of rows, missing, in an archive
    examples: Sequence[Example] | None = None  # None if they cannot be read
    fault: str = ""  # why not, for a file that is there
    packed: bool = False  # in an archive that a build would unpack

    @property
    def missing(self) -> bool:
        """Whether it is neither there nor in an archive."""
        return self.examples is None and not self.fault and not self.packed


def data_files(
    task: TaskConfig, data: DataConfig, data_dir: Path | None, profile: str, cache: Path
) -> tuple[DataFile, ...]:
    """The train and dev files, where `stages.locate` would take them from; archives are not unpacked.

    data: of the task, or of one of its transfer sets.
    """
    packed = False
    if data_dir is not None:
        folder, absent = data_dir / data.folder, "missing"
        archive = data_dir / f"{data.folder}.tar.xz"
        if not folder.is_dir() and archive.is_file():
            unpacked = unpacked_folder(archive, data, cache)
            packed = not unpacked.is_dir()
            folder, absent = (folder, f"in {archive.name}; a build unpacks it") if packed else (unpacked, absent)
    elif profile == "demo" and data.sample:
        folder, absent = ASSETS / data.sample, "not in the sample that ships: give --data-dir"
    else:
        folder, absent = Path("DATA_DIR") / data.folder, "give --data-dir"
    names = {"train": data.train, "dev": data.dev or (data.train if data.splits_itself else "")}
    files = [(split, name, data) for split, name in names.items() if name]
    if data.test_set is not None and data_dir is not None:  # the samples that ship have none
        files.append((TEST, data.test, data.test_set))
    return tuple(_data_file(task, how, split, folder / name, absent, packed) for split, name, how in files)


def _data_file(task: TaskConfig, data: DataConfig, split: str, path: Path, absent: str, packed: bool) -> DataFile:
    if not path.exists() or task.kind not in kind_names():
        return DataFile(split=split, path=path, state=absent, packed=packed)
    try:
        examples = read_file(path, split, data, bare_manifest(task))
    except BuildError as error:
        return DataFile(split=split, path=path, state=f"cannot be read: {error}", fault=str(error))
    return DataFile(split=split, path=path, state=f"{len(examples):,} rows", examples=examples)


def why_not_looked_up(weights: str, files: Iterable[DataFile]) -> str:
    """Why finished stages cannot be looked up; empty if they can, or if the weights have a fault, which is then met.

    Their keys depend on the weights, which must be on this machine.
    """
    folder = folder_of(weights)
    if is_download(weights):
        return "the base model is not on this machine"
    if folder is not None:
        with suppress(CheckpointError):
            if stored_bytes(folder) > MAX_WEIGHTS:
                return f"the weights in {folder} are larger than {MAX_WEIGHTS // 10**6} MB"
    return "the data is in an archive" if any(file.packed for file in files) else ""


def stage_states(make: Callable[[], Context], until: str) -> tuple[list[tuple[str, str]], Exception | None]:
    """(stage, what would be done) for each stage up to `until`, and the fault that would stop the build, if any."""
    states: list[tuple[str, str]] = []

    def look(stage: Stage[Any], context: Context, finished: Finished) -> Output[Any]:
        output = stage.output(context, finished)
        if stage.is_done(context, finished, output):
            state = f"finished: {stage.line(output.result)}"
        else:
            state = "goes on" if output.partial.is_dir() else "runs"
        states.append((stage_label(stage, context.recipe.name), state))
        return output

    try:
        context = make()
        tokenizer = tokenizer_for(context.task, context.source.tokenizer)
        check_examples(draft_manifest(context.task, tokenizer), tokenizer)
        run_task(context, until, look)
    except (BuildError, metadata.PackageNotFoundError) as error:
        return states, error
    return states, None


def stage_label(stage: Stage[Any], variant: str) -> str:
    """The stage's name, and the variant's unless it is plain fp32."""
    return stage.name if variant == FULL.name else f"{stage.name} {variant}"
