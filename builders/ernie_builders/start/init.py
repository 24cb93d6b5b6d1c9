"""`ernie-triton init FILE_OR_FOLDER`: look at labelled text and write a tasks file that can be built."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from ernie_runtime.command_line import CommandLine, json_output
from ernie_runtime.json_types import JsonObject

from ..checkpoints.encoders import EMBEDDED
from ..config.tasks import parse_tasks
from ..console import run_command, say
from ..errors import ConfigError
from ..filesystem import whole_file
from ..presets.loading import load_presets
from ..readers.sniff import Sniffed, sniff
from ..readers.sniff.names import GROUP, named
from .tables import task_table

NAME = "ernie-triton init"
SHOWN = 40  # characters of an example
CLASSES = 30  # that are listed


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = CommandLine(prog=NAME, description="Look at labelled text and write a tasks file for `build`.")
    p.add_argument("data", type=Path, metavar="FILE_OR_FOLDER", help="labelled text: a file, or a folder with train")
    p.add_argument("--name", default="", help="of the task and its tasks file (default: the data's name)")
    p.add_argument("--base-model", default=EMBEDDED, help="as in `ernie-triton build` (default: %(default)s)")
    p.add_argument(
        "--group",
        default="",
        metavar="COLUMN",
        help="rows with the same value of this column (a session, a user) are held out together",
    )
    p.add_argument("--output", type=Path, help="the tasks file (default: NAME.toml)")
    p.add_argument("--force", action="store_true", help="replace a tasks file that is there")
    p.add_argument("--json", action="store_true", help="print what was found as one object")
    return p


def init(
    data: Path, name: str, base_model: str, output: Path | None, force: bool = False, group: str = ""
) -> JsonObject:
    """Say what the data is and write the tasks file; DataError or ConfigError where that cannot be done.

    Returns the same, as JSON.
    """
    name = task_name(name, data)
    path = output or Path(f"{name}.toml")
    if path.exists() and not force:
        raise ConfigError(f"{path}: exists already; give --force to replace it, or another --name")
    model = load_presets().model(base_model)
    sniffed = sniff(data, group)
    for line in found_lines(sniffed):
        say(line)
    folder = os.path.relpath(sniffed.files["train"].path.parent, path.parent)
    text = task_table(name, sniffed, folder, model)
    parse_tasks(text, path).check()  # before it is written: a file that cannot be built is no start
    with whole_file(path) as new:
        new.write_text(text, encoding="utf-8")
    say(f"wrote {path}")
    say(f"next: ernie-triton build --tasks-file {shlex.quote(str(path))}")
    return {"task": name, "tasks_file": str(path), **asdict(sniffed)}


def task_name(name: str, data: Path) -> str:
    """The name of the task: as given, or from the file's; ConfigError where it is none."""
    given = name or re.sub(r"\W+", "_", data.resolve().name.split(".")[0]).strip("_").lower()
    if not given.replace("_", "").isalnum():
        raise ConfigError(f"{data}: give the task a --name of letters, digits and _")
    return given


def found_lines(sniffed: Sniffed) -> Iterator[str]:
    """What was found, for a person: form, files, repairs, and two examples of each class."""
    fields = ", ".join(f"{key} = {value}" for key, value in sniffed.fields.items())
    yield f"{sniffed.container}: {sniffed.kind}" + (f" ({fields})" if fields else "")
    yield from (f"  {reason}" for reason in sniffed.reasons)
    for split, file in sniffed.files.items():
        yield f"  {split}: {file.path}, {file.rows:,} rows"
        yield from (f"    {repair}" for repair in file.repairs)
    if sniffed.other_columns:
        yield f"  not used: {', '.join(sniffed.other_columns)}"
    if "dev" not in sniffed.files and (groups := named(sniffed.other_columns, GROUP)):
        yield f"  --group {shlex.quote(groups[0])} would hold out rows of one {groups[0]} together, to evaluate on"
    for number, (label, items) in enumerate(sniffed.examples.items()):
        if number == CLASSES:
            yield f"  ... and {len(sniffed.examples) - CLASSES} more classes"
            break
        shown = sniffed.names.get(label, label)
        if label:
            yield f"  {shown}: {sniffed.labels.get(label, 0):,} rows"
        yield from (f"    {_short('  |  '.join(item))}" for item in items)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a fault (one line), 2 usage."""
    a = parser().parse_args(sys.argv[1:] if argv is None else argv)
    with json_output(a.json) as report:
        return run_command(NAME, lambda: report(init(a.data, a.name, a.base_model, a.output, a.force, a.group)))
