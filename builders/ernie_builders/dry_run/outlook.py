"""What a build would find on this machine: data files and their rows, weights, finished stages. Nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Protocol

from ..checkpoints.base_models import folder_of, is_download
from ..checkpoints.delta_files import PACKED
from ..config.tasks import ASSETS, DataConfig
from ..errors import BuildError
from ..filesystem import key_of, sha256_of
from ..readers import get_reader
from ..stages import Context, Done, Stage, of_variant, stands_for

LARGEST = 200_000_000  # bytes of weights that are read to look a stage up; more takes longer than a plan may


class RunTask(Protocol):
    """`stages.order.run_task`: runs a task's stages, or does with each what `run` does."""

    def __call__(
        self, context: Context, until: str, run: Callable[[Stage, Context, dict[str, Done]], object]
    ) -> object:
        """Call `run` with every stage."""


@dataclass(frozen=True)
class FileOutlook:
    """One data file of a task."""

    split: str
    path: Path
    state: str  # one line: rows, missing, in an archive
    rows: int | None = None  # None where it cannot be read
    packed: bool = False  # in an archive that a build would unpack


def data_outlook(data: DataConfig, data_dir: Path | None, profile: str, cache: Path) -> tuple[FileOutlook, ...]:
    """The train and dev files, where stages/locate.py would take them from; archives are not unpacked."""
    packed = False
    if data_dir is not None:
        folder, absent = data_dir / data.folder, "missing"
        archive = data_dir / f"{data.folder}.tar.xz"
        if not folder.is_dir() and archive.is_file():
            unpacked = cache / "data" / f"{data.folder}-{sha256_of(archive)[:12]}" / data.folder
            packed = not unpacked.is_dir()
            folder, absent = (folder, f"in {archive.name}; a build unpacks it") if packed else (unpacked, absent)
    elif profile == "demo" and data.sample:
        folder, absent = ASSETS / data.sample, "not in the sample that ships: give --data-dir"
    else:
        folder, absent = Path("DATA_DIR") / data.folder, "give --data-dir"
    wanted = {"train": data.train, "dev": data.dev or data.train}
    return tuple(_file(data, split, folder / name, absent, packed) for split, name in wanted.items() if name)


def _file(data: DataConfig, split: str, path: Path, absent: str, packed: bool) -> FileOutlook:
    if not path.is_file():
        return FileOutlook(split, path, absent, packed=packed)
    try:
        rows = sum(1 for _ in get_reader(data.format)(path, data.fields, split))
    except BuildError as error:
        return FileOutlook(split, path, f"cannot be read: {error}")
    return FileOutlook(split, path, f"{rows:,} rows", rows)


def why_not_looked_up(weights: str, files: Iterable[FileOutlook]) -> str:
    """Why finished stages are not looked up, or nothing: it takes weights that are here and read without Paddle."""
    folder = folder_of(weights)
    if is_download(weights):
        return "the base model is not on this machine"
    if folder is not None:
        sizes = [path.stat().st_size for name in ("*.safetensors", PACKED) for path in folder.glob(name)]
        if not sizes:
            return f"the weights in {folder} are of a format that takes Paddle to read"
        if min(sizes) > LARGEST:
            return f"the weights in {folder} are larger than {LARGEST // 10**6} MB"
    return "the data is in an archive" if any(file.packed for file in files) else ""


def stage_outlook(run_task: RunTask, make: Callable[[], Context], until: str) -> list[tuple[str, str]]:
    """(stage, what would be done) up to the stage `until`; a fault that would stop the build is the last line."""
    lines: list[tuple[str, str]] = []

    def look(stage: Stage, context: Context, before: dict[str, Done]) -> None:
        line, before[stands_for(stage)] = _look_up(stage, context, before)
        lines.append((f"{stage.NAME}{of_variant(context)}", line))

    try:
        run_task(make(), until, look)
    except (BuildError, metadata.PackageNotFoundError) as error:
        lines.append(("stops", str(error)))
    return lines


def _look_up(stage: Stage, context: Context, before: Mapping[str, Done]) -> tuple[str, Done]:
    inputs = stage.inputs(context, before)
    key = key_of([stage.NAME, inputs])
    home = context.cache / context.task.name / stage.NAME
    done, started = home / key / "done.json", home / f"{key}.partial"
    if done.is_file() and getattr(stage, "holds", lambda *_: True)(context, before):
        figures = json.loads(done.read_text(encoding="utf-8"))["figures"]
        return f"finished: {stage.line(figures)}", Done(home / key, key, figures)
    return ("goes on" if started.is_dir() else "runs"), Done(home / key, key, {})
