"""A labelled file for a task that is published: its format and columns are seen in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.manifest import Manifest

from ..config.tasks import DataConfig
from ..errors import DataError
from ..readers import Example
from ..readers.files.report import Report
from ..stages.data import read_file
from ..stages.seen import seen_data


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """The rows of a file, and how they were read."""

    examples: list[Example]
    container: str  # for a person: "CSV (;, GB18030)", ...
    data: DataConfig
    repairs: tuple[str, ...]


def read_labelled(
    path: Path, manifest: Manifest, format: str = "", fields: Mapping[str, str] | None = None
) -> Labelled:
    """Read a file for a task; DataError (what, where, what to do) where it does not fit.

    format, fields: as in [tasks.NAME.data], in place of what the file looks like. Labels may be the ids or the names of
    the manifest's labels.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if format:
        container, data = format, DataConfig(format=format, folder=str(path.parent), fields=fields or {})
    else:
        container, data = seen_data(path, DataConfig(fields=fields or {}), manifest, "--format and --field")
    report = Report()
    examples = read_file(path, "dev", data, manifest, report, by_name=True)
    return Labelled(examples=examples, container=container, data=data, repairs=tuple(report))
