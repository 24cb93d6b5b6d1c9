"""Format and columns of labelled text for a task that does not name them: seen in the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ernie_runtime.manifest import Manifest

from ..config.tasks import DataConfig
from ..errors import DataError
from ..readers import TABLE
from ..readers.sniff.guess import guess

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


def seen_data(path: Path, data: DataConfig, manifest: Manifest, how: str) -> tuple[str, DataConfig]:
    """(what the file is, for a person; the data with its format and columns), where `data.fields` does not name these.

    DataError where it does not look like the manifest's kind of task; how: what says then how to read it.
    """
    seen, kind = guess(path), manifest.kind
    fields = {name: value for name, value in seen.fields.items() if name != "dev_percent"}  # every row is read
    target = TARGETS.get(kind)
    if seen.format == TABLE and target is not None:
        columns = [fields.pop(name) for name in OTHER if name in fields]
        if columns:
            fields[target] = columns[0]
    elif seen.kind != kind:
        raise DataError(
            f"{path}: looks like {seen.kind} ({'; '.join(seen.reasons)}), and the task {manifest.task} is {kind}: "
            f"give {how}"
        )
    if kind in BY_PAIRS:
        fields, format = {"pairs": seen.format, **fields}, PAIRS
    else:
        format = seen.format
    return seen.container, replace(data, format=format, fields={**fields, **data.fields})
