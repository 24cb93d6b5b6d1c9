"""A labelled file for a task that is published: its format and columns are seen in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.manifest import Manifest

from ..config.tasks import DataConfig
from ..errors import DataError
from ..readers import TABLE, Example
from ..readers.files.report import Report
from ..readers.sniff.guess import guess
from ..stages.data import read_file

TARGETS = {  # of a table: kind -> what `fields` calls the column that the task is scored by
    "sequence_classification": "label",
    "pair_classification": "label",
    "hierarchical_classification": "labels",
    "similarity": "score",
    "embedding": "score",
    "token_embedding": "score",
    "pair_embedding": "label",
}
OTHER = ("label", "labels", "score")
BY_PAIRS = ("embedding", "token_embedding")  # evaluated on pairs, whose texts are items by themselves
PAIRS = "pair_texts"


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
        container, data = _seen(path, manifest, fields or {})
    report = Report()
    examples = read_file(path, "dev", data, manifest, report, by_name=True)
    return Labelled(examples=examples, container=container, data=data, repairs=tuple(report))


def _seen(path: Path, manifest: Manifest, given: Mapping[str, str]) -> tuple[str, DataConfig]:
    """What the file is, with the fields that are given in place of those that were guessed."""
    seen, kind = guess(path), manifest.kind
    fields = {name: value for name, value in seen.fields.items() if name != "dev_percent"}  # every row is scored
    target = TARGETS.get(kind)
    if seen.format == TABLE and target is not None:
        columns = [fields.pop(name) for name in OTHER if name in fields]
        if columns:
            fields[target] = columns[0]
    elif seen.kind != kind:
        raise DataError(
            f"{path}: looks like {seen.kind} ({'; '.join(seen.reasons)}), and the task {manifest.task} is {kind}: "
            "give --format and --field"
        )
    if kind in BY_PAIRS:
        fields, format = {"pairs": seen.format, **fields}, PAIRS
    else:
        format = seen.format
    return seen.container, DataConfig(format=format, folder=str(path.parent), fields={**fields, **given})
