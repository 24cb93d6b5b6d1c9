"""Look up what a build would find on this machine: data files, weights, finished stages. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ..checkpoints.base_models import folder_of, is_download
from ..checkpoints.delta_files import PACKED
from ..config.tasks import ASSETS, DataConfig
from ..config.variants import FULL
from ..errors import BuildError
from ..readers import get_reader
from ..readers.files.report import Report
from ..stages import data as data_stage
from ..stages.context import Context
from ..stages.locate import unpacked_folder
from ..stages.order import run_task
from ..stages.stage import Finished, Output, Stage

STOPS = "stops"  # in place of a stage: what the build would refuse
UNREADABLE = "cannot be read"
MAX_WEIGHTS = 200_000_000  # bytes that are read to compute a stage's key; more takes longer than a plan may


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One data file of a task, as it is on this machine."""

    split: str
    path: Path
    state: str  # for a person: number of rows, missing, in an archive
    rows: int | None = None  # None if it cannot be read
    packed: bool = False  # in an archive that a build would unpack


def data_files(data: DataConfig, data_dir: Path | None, profile: str, cache: Path) -> tuple[DataFile, ...]:
    """The train and dev files, where `stages.locate` would take them from; archives are not unpacked."""
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
    return tuple(_data_file(data, split, folder / name, absent, packed) for split, name in names.items() if name)


def _data_file(data: DataConfig, split: str, path: Path, absent: str, packed: bool) -> DataFile:
    if not path.exists():
        return DataFile(split=split, path=path, state=absent, packed=packed)
    try:
        rows = sum(1 for _ in get_reader(data.format)(path, data.fields, split, Report()))
    except BuildError as error:
        return DataFile(split=split, path=path, state=f"{UNREADABLE}: {error}")
    return DataFile(split=split, path=path, state=f"{rows:,} rows", rows=rows)


def why_not_looked_up(weights: str, files: Iterable[DataFile]) -> str:
    """Why finished stages cannot be looked up; empty if they can.

    Their keys depend on the weights, which must be on this machine and readable without Paddle.
    """
    folder = folder_of(weights)
    if is_download(weights):
        return "the base model is not on this machine"
    if folder is not None:
        sizes = [path.stat().st_size for name in ("*.safetensors", PACKED) for path in folder.glob(name)]
        if not sizes:
            return f"the weights in {folder} are of a format that takes Paddle to read"
        if min(sizes) > MAX_WEIGHTS:
            return f"the weights in {folder} are larger than {MAX_WEIGHTS // 10**6} MB"
    return "the data is in an archive" if any(file.packed for file in files) else ""


def stage_states(make: Callable[[], Context], until: str) -> list[tuple[str, str]]:
    """(stage, what would be done) for each stage up to `until`; last, the fault that would stop the build, if any."""
    states: list[tuple[str, str]] = []

    def look(stage: Stage[Any], context: Context, finished: Finished) -> Output[Any]:
        output = stage.output(context, finished)
        if stage.is_done(context, finished, output):
            state = f"finished: {stage.line(output.result)}"
        else:
            state = "goes on" if output.partial.is_dir() else "runs"
            if stage is data_stage.STAGE:
                data_stage.check(context)
        states.append((stage_label(stage, context.recipe.name), state))
        return output

    try:
        run_task(make(), until, look)
    except (BuildError, metadata.PackageNotFoundError) as error:
        states.append((STOPS, str(error)))
    return states


def stage_label(stage: Stage[Any], variant: str) -> str:
    """The stage's name, and the variant's unless it is plain fp32."""
    return stage.name if variant == FULL.name else f"{stage.name} {variant}"
