"""`--keep-better`: a checkpoint that ships gives way to a new one only where no task gets worse; one table of all.

What was decided is kept in CACHE/retrained.json by the key of the fine-tuning, so that a command that is run again
does not compare a new checkpoint with itself.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..checkpoints.checksums import refresh, ships
from ..console import say
from ..errors import CheckpointError, ConfigError
from ..filesystem import locked, whole_folder, write_file, write_json
from ..kinds import get_builder_kind
from ..stages.context import Context
from ..stages.results import Evaluated
from ..stages.stage import Finished
from .earlier import drop_unused
from .ship import save_checkpoint

LEDGER, TABLE = "retrained.json", "retrained.md"
Evaluate = Callable[[Path], Mapping[str, Evaluated]]
"""The evaluations, by task, of the other tasks that have a checkpoint's weights."""


def keep_better(
    place: Path, context: Context, finished: Finished, command: str, others: Evaluate = lambda folder: {}
) -> str:
    """Store the trained checkpoint in `place`/TASK if no task gets worse; one line about it. Rewrites the table.

    CheckpointError where the figure of what is there cannot be compared (other dev rows).
    """
    with locked(context.cache / context.task.name):
        return _keep_better(place.resolve(), context, finished, command, others)


def _keep_better(place: Path, context: Context, finished: Finished, command: str, others: Evaluate) -> str:
    name, folder = context.task.name, place / context.task.name
    new = context.cache / name / "retrained"
    row = read_ledger(context.cache).get(name, {})
    if row.get("place", str(place)) != str(place):
        row = {}  # what was decided about another checkpoint
    gone = row and row["exchanged"] and not folder.is_dir()
    if row and row["key"] == finished.fine_tuned.key and not gone:
        if row["kept"] == "new" and not row["exchanged"]:
            _exchange(new, folder, context.cache, row, name)
        return f"decided before: {said(row)}"
    if not finished.fine_tuned.result.trained:
        return "nothing was trained, so nothing is exchanged"
    main = get_builder_kind(context.task.kind).main_metric
    before = before_of(folder, finished.evaluated.result.rows, main, name)
    shutil.rmtree(new, ignore_errors=True)
    say(f"[{name}] {save_checkpoint(new, context, finished, command)}")
    card = json.loads((new / "card.json").read_text(encoding="utf-8"))
    figures = [_row(name, main, before, card["evaluations"][0])]
    if before is not None:
        was, now = others(folder), others(new)
        figures += [_row(task, was[task].main, was[task].to_json(), now[task].to_json()) for task in was]
    worse = any(found["before"] is not None and found["after"] < found["before"] for found in figures)
    first = {found["task"]: found["first"] for found in row.get("figures", ())}
    row = {
        "place": str(place),
        "key": finished.fine_tuned.key,
        "kept": "old" if worse else "new",
        "exchanged": False,
        "new": not worse or row.get("new", False),  # what is there now is not what was there at first
        "figures": [{**found, "first": first.get(found["task"], found["before"])} for found in figures],
        "minutes": round(card["training_seconds"] / 60),
    }
    _record(context.cache, name, row)
    if not worse:
        _exchange(new, folder, context.cache, row, name)
    return said(row)


def _row(task: str, main: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, Any]:
    was = None if before is None else before["metrics"][main]
    return {"task": task, "metric": main, "rows": after["rows"], "before": was, "after": after["metrics"][main]}


def said(row: Mapping[str, Any]) -> str:
    """One line about a decision."""
    figures = ", ".join(
        f"{f['task']} {f['metric']} {f['after']:.2f}"
        + ("" if f["before"] is None else f" after, {f['before']:.2f} before")
        for f in row["figures"]
    )
    return f"{figures}: the {row['kept']} checkpoint stays"


def before_of(folder: Path, rows: int, main: str, task: str) -> Mapping[str, Any] | None:
    """The evaluation on the card of what is there; None where nothing is there yet.

    CheckpointError where it is not of so many dev rows.
    """
    path = folder / "card.json"
    if not folder.is_dir():
        return None
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))["evaluations"][0]
        found["metrics"][main]
    except (OSError, ValueError, LookupError, TypeError):
        raise CheckpointError(f"{path}: has no dev {main}, so the new checkpoint cannot be compared with it") from None
    if found["rows"] != rows:
        raise CheckpointError(
            f"{path}: measured on {found['rows']:,} dev rows, but --data-dir has {rows:,} for {task}: "
            "give the same data"
        )
    return found


def _exchange(new: Path, folder: Path, cache: Path, row: Mapping[str, Any], name: str) -> None:
    put_in_place(new, folder)
    _record(cache, name, {**row, "exchanged": True})


def put_in_place(new: Path, folder: Path) -> None:
    """Exchange a checkpoint for a copy of `new` in one step; its checksums are then among those of what ships."""
    with whole_folder(folder) as copy:
        shutil.copytree(new, copy, dirs_exist_ok=True)
    if ships(folder):
        refresh(folder=folder)
        for line in drop_unused():
            say(line)


def read_ledger(cache: Path) -> dict[str, Any]:
    """What was decided, by task."""
    path = cache / LEDGER
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON ({error}); remove it to decide again") from None
    return found


def _record(cache: Path, task: str, row: Mapping[str, Any]) -> None:
    """Write one task's decision among those of the others, which other builds may be deciding now."""
    with locked(cache):
        ledger = {**read_ledger(cache), task: row}
        write_json(cache / LEDGER, ledger)
        write_file(cache / TABLE, table(ledger))


def table(ledger: Mapping[str, Any]) -> str:
    """Dev figures in Markdown: before all, of what was trained last, and of what ships now."""
    lines = [
        "| task | dev rows | figure | before | trained again | ships now | change | checkpoint | training, minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ledger.values():
        for place, found in enumerate(row["figures"]):
            first, ships_now = found["first"], found["after"] if row["kept"] == "new" else found["before"]
            change = "" if first is None else f"{ships_now - first:+.2f}"
            own = ("new" if row["new"] else "old", str(row["minutes"]))
            cells = own if place == 0 else (f"that of {row['figures'][0]['task']}", "")
            values = ("none" if first is None else f"{first:.2f}", f"{found['after']:.2f}", f"{ships_now:.2f}")
            shown = (found["task"], f"{found['rows']:,}", found["metric"], *values, change, *cells)
            lines.append(f"| {' | '.join(shown)} |")
    hours = sum(row["minutes"] for row in ledger.values()) / 60
    old = [name for name, row in ledger.items() if not row["new"]]
    lines += ["", f"{hours:.1f} hours of training; the old checkpoint was kept for: {', '.join(old) or 'none'}.", ""]
    return "\n".join(lines)
