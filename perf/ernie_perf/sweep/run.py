"""A run on disk: run.json (settings, tasks, machine), records.jsonl (one measurement a line) and raw/."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from ernie_builders.filesystem import write_file, write_json
from ernie_runtime.json_types import Json, JsonObject

from ..errors import RunError
from .description import SCHEMA, RunDescription
from .records import Cell, Record, failed, record_from_json

DESCRIPTION, RECORDS, RAW = "run.json", "records.jsonl", "raw"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A recorded run; `records` holds the last record of each cell, failed ones too."""

    folder: Path
    description: RunDescription
    records: tuple[Record, ...]

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Errors: RunError where it is no run, or a line is malformed (a torn last line is what a kill leaves)."""
        document = _read_description(folder)
        if document is None:
            raise RunError(f"{folder}: no {DESCRIPTION}: not a run of `ernie-triton perf sweep`")
        try:
            description = RunDescription.from_json(document)
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{folder / DESCRIPTION}: something is missing ({error})") from None
        return cls(folder=folder, description=description, records=tuple(_read_records(folder).values()))


class Recorder:
    """Appends to a run; whatever happens, what is on disk is complete lines."""

    def __init__(self, folder: Path, description: RunDescription) -> None:
        """Start the run in `folder`, or resume it. Errors: RunError where `folder` holds another sweep."""
        self.folder = folder
        new, old = json.loads(json.dumps(description.to_json())), _read_description(folder)
        if old is not None and (difference := _difference(old, new)):
            raise RunError(f"{folder}: holds a run of another sweep: {difference}; give another --output to keep both")
        self.records = _read_records(folder)
        (folder / RAW).mkdir(parents=True, exist_ok=True)
        if old is None:
            write_json(folder / DESCRIPTION, new)
        else:
            _drop_torn_line(folder / RECORDS)

    def is_done(self, cell: Cell) -> bool:
        """Whether the cell needs no (other) measurement."""
        return cell in self.records and not failed(self.records[cell])

    def raw_path(self, cell: Cell) -> Path:
        """Of the cell's raw files, without an ending."""
        return self.folder / RAW / cell.name()

    def add(self, record: Record) -> None:
        """Append a measurement; it is on disk when this returns."""
        with (self.folder / RECORDS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record.to_json(), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.records[record.cell] = record


def _read_description(folder: Path) -> JsonObject | None:
    """run.json; None where there is none."""
    path = folder / DESCRIPTION
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise RunError(f"{path}: not schema {SCHEMA}: recorded by another version of the project")
    return document


def _read_records(folder: Path) -> dict[Cell, Record]:
    """The last record of each cell, in the order the cells were first measured."""
    path = folder / RECORDS
    if not path.is_file():
        return {}
    records: dict[Cell, Record] = {}
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            record = record_from_json(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if number == len(lines):  # without its newline: the process was killed while it wrote
                break
            raise RunError(f"{path}:{number}: not a record ({error})") from None
        records[record.cell] = record
    return records


def _difference(old: Json, new: Json) -> str:
    """The first setting or task that differs, with both values of a setting; empty where none does."""
    for part in ("settings", "tasks"):
        for name in {**old[part], **new[part]}:
            before, now = old[part].get(name), new[part].get(name)
            if before != now:
                values = "" if part == "tasks" else f" ({before} there, {now} now)"
                return f"{part[:-1]} {name} differs{values}"
    return ""


def _drop_torn_line(path: Path) -> None:
    if path.is_file() and (data := path.read_bytes()) and not data.endswith(b"\n"):
        write_file(path, data[: data.rfind(b"\n") + 1])
