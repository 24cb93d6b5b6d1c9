"""A run on disk: run.json (what was asked for, on what), records.jsonl (a measurement a line), raw/."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ernie_builders.filesystem import write_file, write_json

from ..errors import RunError

SCHEMA = 1
SETTINGS, RECORDS, RAW = "run.json", "records.jsonl", "raw"
MODES = ("concurrency", "rate", "engine")


@dataclass(frozen=True)
class Cell:
    """One measurement of a sweep; order: of the texts, for the bare engine."""

    task: str
    variant: str
    mode: str
    value: float  # requests in flight, requests a second, or the engine's batch size
    round: int
    order: str = ""

    def name(self) -> str:
        """As a file name, and for people."""
        order = f"-{self.order}" if self.order else ""
        return f"{self.task}_{self.variant}-{self.mode}-{self.value:g}{order}-round-{self.round}"

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Cell:
        """The cell that a record is of."""
        return cls(
            record["task"],
            record["variant"],
            record["mode"],
            float(record["value"]),
            record["round"],
            record.get("order", ""),
        )


@dataclass(frozen=True)
class Run:
    """A recorded run: `about` is run.json; `records` the last record of each cell, failed ones with `error`."""

    folder: Path
    about: Mapping[str, Any]
    records: tuple[dict[str, Any], ...]

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Errors: RunError where it is no run, or a line is malformed (a torn last line is what a kill leaves)."""
        about = read_about(folder)
        if about is None:
            raise RunError(f"{folder}: no {SETTINGS}: not a run of `ernie-triton perf sweep`")
        return cls(folder, about, tuple(read_records(folder).values()))

    def good(self) -> list[dict[str, Any]]:
        """The records without an error."""
        return [record for record in self.records if not record.get("error")]


def read_about(folder: Path) -> dict[str, Any] | None:
    """run.json; None where there is none."""
    path = folder / SETTINGS
    if not path.is_file():
        return None
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from None
    if not isinstance(about, dict) or about.get("schema") != SCHEMA:
        raise RunError(f"{path}: not schema {SCHEMA}: recorded by another version of the project")
    return about


def read_records(folder: Path) -> dict[Cell, dict[str, Any]]:
    """The last record of each cell, in the order the cells were first measured."""
    path, found = folder / RECORDS, {}
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            record = json.loads(line)
            found[Cell.of(record)] = record
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):  # without its newline: the process was killed while it wrote
                break
            raise RunError(f"{path}:{number}: not a record ({error})") from None
    return found


class Recorder:
    """Appends to a run; what is on disk is complete lines, whatever happens."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Start the run in `folder`, or go on with it. Errors: RunError where another sweep is in there."""
        self.folder = folder
        before = read_about(folder)
        if before is not None and (before["settings"], before["tasks"]) != (about["settings"], about["tasks"]):
            raise RunError(f"{folder}: {_difference(before, about)}; give another --output to keep both")
        self.records = read_records(folder)
        (folder / RAW).mkdir(parents=True, exist_ok=True)
        if before is None:
            write_json(folder / SETTINGS, about)
        else:
            _drop_torn_line(folder / RECORDS)

    def done(self, cell: Cell) -> bool:
        """Whether it is measured; one that failed is not."""
        return cell in self.records and not self.records[cell].get("error")

    def raw(self, cell: Cell) -> Path:
        """Where its raw files go, without an ending."""
        return self.folder / RAW / cell.name()

    def add(self, cell: Cell, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Write a measurement down."""
        record = {**vars(cell), **figures}
        with (self.folder / RECORDS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.records[cell] = record
        return record


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    for part in ("settings", "tasks"):
        for name in {**before[part], **now[part]}:
            ours, theirs = now[part].get(name), before[part].get(name)
            if ours != theirs:
                shown = "" if part == "tasks" else f" ({theirs} there, {ours} now)"
                return f"holds a run of another sweep: {part[:-1]} {name} differs{shown}"
    return "holds a run of another sweep"


def _drop_torn_line(path: Path) -> None:
    if path.is_file() and (data := path.read_bytes()) and not data.endswith(b"\n"):
        write_file(path, data[: data.rfind(b"\n") + 1])


SUSTAINED = 0.95


def kept_up(record: Mapping[str, Any]) -> bool:
    """Whether a measurement without an error answered what was asked; always true of a closed loop, which waits.

    A Poisson process of n expected requests sends n - 2 sqrt(n) or more 98 times in 100.
    """
    if record["mode"] != "rate":
        return True
    sent = max(1.0, record["value"] * record["seconds"])
    return bool(record["throughput"] >= record["value"] * (SUSTAINED - 2 / math.sqrt(sent)))
