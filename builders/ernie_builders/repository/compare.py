"""`ernie-triton compare TASK`: a published task's variants side by side; recommend another one; go back a version."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.command_line import CommandLine, did_you_mean
from ernie_runtime.manifest import Evaluation, Manifest, Variant
from ernie_runtime.names import MANIFEST_FILE
from ernie_runtime.repository import task_manifest

from ..compression.measure import lost_by_chance, may_be_chosen, rank
from ..compression.other_load import BUSY
from ..config.variants import FULL
from ..console import run_command
from ..errors import PublishError
from ..filesystem import locked
from ..metrics.row_metric import with_error
from .rollback import recommend, roll_back
from .served import reload_hint

COLUMNS = (
    *("variant", "engine", "metric", "drop", "file MB", "process MB", "model MB", "b1 MB"),
    *("b1 texts/s", "p50", "p99", "x fp32", "best texts/s", "p50", "p99", "x fp32"),
)
SPREAD = 1.3  # between rounds: a ratio that differs by more is named


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line."""

    task: str
    repository: Path
    pick: str | None  # recommend this variant: a name, fastest or smallest
    max_drop: float | None  # with pick: points of the main metric that the variant may lose
    rollback: bool
    json: bool
    markdown: Path | None
    plot: Path | None


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    p = CommandLine(prog="ernie-triton compare", description=__doc__)
    p.add_argument("task", metavar="TASK", help="name or title of the task")
    p.add_argument("--repository", type=Path, default=Path("model_repository"), help="the model repository")
    p.add_argument("--pick", metavar="NAME", help="recommend this variant from now on: a name, fastest or smallest")
    p.add_argument("--max-drop", type=float, help="with --pick: only among variants that lose at most this many points")
    p.add_argument("--rollback", action="store_true", help="go back to the version before the newest")
    p.add_argument("--json", action="store_true", help="print the manifest of the published version instead")
    p.add_argument("--markdown", type=Path, metavar="FILE", help="write the table as Markdown")
    p.add_argument("--plot", type=Path, metavar="FILE", help="plot accuracy against latency and size (.svg or .png)")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a fault (one line), 2 usage."""
    args = parser().parse_args(argv)
    if args.max_drop is not None and not args.pick:
        parser().error("--max-drop goes with --pick")
    options = Options(**vars(args))
    return run_command("ernie-triton compare", lambda: sys.stdout.writelines(f"{line}\n" for line in run(options)))


def run(options: Options) -> list[str]:
    """Do what the options ask for; the lines to print."""
    manifest = published_manifest(options.repository, options.task)
    if options.rollback or options.pick:
        with locked(options.repository):
            manifest = published_manifest(options.repository, options.task)  # a build may have published meanwhile
            if options.rollback:
                manifest = roll_back(options.repository, manifest)
            if options.pick:
                variant = picked_variant(manifest, options.pick, options.max_drop)
                manifest = recommend(options.repository, manifest, variant)
    if options.markdown is not None:
        options.markdown.write_text(markdown(manifest), encoding="utf-8")
    if options.plot is not None:
        from .compare_plot import plot

        plot(manifest, options.plot)
    if options.json:
        return [manifest.to_json().rstrip()]
    title = f"{manifest.task}, version {manifest.version}: {manifest.title}"
    hint = reload_hint(options.repository, manifest.task) if options.rollback or options.pick else ""
    return [title, *aligned(table(manifest)), *remarks(manifest), *([hint] if hint else [])]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of text: the first two columns left-aligned, figures right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:>{width}}" if i > 1 else f"{cell:<{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def published_manifest(repository: Path, task: str) -> Manifest:
    """The newest manifest of a task, by its name or title; PublishError if the repository has no such task."""
    if not (repository / task).is_dir():
        names = sorted({path.parent.parent.name for path in repository.glob(f"*/*/{MANIFEST_FILE}")})
        manifests = [task_manifest(repository, name) for name in names]
        for manifest in manifests:
            if manifest.title.casefold() == task.casefold():
                return manifest
        near = did_you_mean(task, dict.fromkeys([*names, *(manifest.title for manifest in manifests)]))
        raise PublishError(f"{repository} has no task {task!r}{near or ': build it first, or give --repository'}")
    return task_manifest(repository, task)


def picked_variant(manifest: Manifest, pick: str, max_drop: float | None) -> str:
    """The variant that `pick` (a name, fastest or smallest) stands for among those that passed the gate.

    max_drop: points of the main metric that it may lose. PublishError if there is no such variant.
    """
    allowed = {
        variant.name: variant
        for variant in manifest.variants
        if variant.gate.get("passed", True) and (max_drop is None or variant.gate.get("drop", 0) <= max_drop)
    }
    if not allowed:
        raise PublishError(f"task {manifest.task}: no variant loses at most {max_drop:g} points")
    measured = {name: variant for name, variant in allowed.items() if may_be_chosen(variant)}
    name = rank(measured, pick) if measured else pick
    if name not in allowed:
        published = name in [variant.name for variant in manifest.variants]
        fault = "did not pass the gate" if published else "is none of its variants"
        raise PublishError(
            f"task {manifest.task}: {name!r} {fault}; --pick takes {', '.join(allowed)}, fastest or smallest"
        )
    return name


def table(manifest: Manifest) -> list[list[str]]:
    """A header and one row per variant; `*` marks the recommended one, `!` refused by the gate, `-` not measured."""
    evaluations = manifest.compared()
    variants = (*manifest.variants, *manifest.refused)
    return [list(COLUMNS), *(_row(manifest, variant, evaluations.get(variant.name)) for variant in variants)]


def _row(manifest: Manifest, variant: Variant, evaluation: Evaluation | None) -> list[str]:
    speed = variant.speed
    mark = " *" if variant.name == manifest.recommended else " !" if variant in manifest.refused else ""
    cells = [f"{variant.name}{mark}", variant.engine]
    metric = manifest.main_metric
    cells.append(with_error(evaluation.metrics[metric], evaluation.errors.get(metric)) if evaluation else "-")
    gate = variant.gate
    cells.append(with_error(gate["drop"], gate.get("drop_error")) if "drop" in gate else "-")
    cells.append(f"{variant.bytes / 1e6:.1f}")
    keys = ("memory", "model_memory", "single_memory")
    cells += [f"{speed[key] / 1e6:.0f}" if key in speed else "-" for key in keys]
    for name in ("batch_1", "best"):
        figures = speed.get(name)
        cells += [f"{figures[key]:.1f}" for key in ("texts_per_second", "p50_ms", "p99_ms")] if figures else ["-"] * 3
        cells.append(f"{figures['ratio']:.2f}" if figures else "-")
    return cells


def remarks(manifest: Manifest) -> list[str]:
    """The notes under the table: what it was measured on, which variants the gate refused and why."""
    refused = "; ! refused by the gate, not served" if manifest.refused else ""
    lines = [
        f"* behind the name {manifest.task}{refused}; metric: {manifest.main_metric} ({manifest.compared_on()}); "
        "±: standard error, of the drop by the paired rows",
        "process: memory of the encoder's process; model: the part that the model takes; b1 MB: the same before it "
        "ran larger batches; b1: one text a batch, best: at the best batch size; p50 and p99 in ms a batch",
    ]
    speed = next((variant.speed for variant in manifest.variants if variant.speed), None)
    if speed:
        machine = speed["machine"]
        lines.append(
            f"measured on {machine['cpu']} ({', '.join(machine['instructions']) or 'no vector instructions known'}), "
            f"{machine['threads']} threads, {speed['texts']} texts, medians of {speed['rounds']} rounds in turn"
        )
        lines.append(
            "x fp32: texts/s of the bare encoder against fp32's in the same round, each at its own batch size, the "
            "median of the rounds; tokenizing and the server take the same time for every variant, so the ratio of "
            "served texts/s is smaller (`ernie-triton perf sweep`)"
        )
        lines += doubts(manifest)
    if not_run := manifest.made_by.get("not_run"):
        lines.append(f"written by this build, never run by it: {', '.join(not_run)} (for a GPU)")
    lines += [f"{v.name} was forced: {v.gate['reason']}" for v in manifest.variants if not v.gate.get("passed", True)]
    lines += [f"{v.name} was refused: {v.gate['reason']}" for v in manifest.refused]
    lines += [
        f"{v.name} lost {v.gate['drop']:.2f} points where {v.gate['max_drop']:g} are allowed, but on "
        f"{v.gate['rows']:,} rows that may be chance (p = {v.gate['p_value']:.2g}): name it, or give more dev rows"
        for v in manifest.variants
        if lost_by_chance(v) and "p_value" in v.gate
    ]
    if manifest.recommended == FULL.name and len(manifest.variants) + len(manifest.refused) > 1:
        passed = {v.name: v for v in manifest.variants if v.gate.get("passed", True)}
        others = [name for name in passed if name != FULL.name]
        if not others:
            why = "no other passed"
        elif not any(may_be_chosen(passed[name]) for name in others):
            why = "the others were measured on no labelled text: give --data-dir, or choose one by its name"
        elif speed and rank(passed, "fastest") == FULL.name:
            why = f"the others that passed ({', '.join(others)}) are not faster here"
        else:
            why = f"none was picked (--pick fastest, smallest or {', '.join(others)})"
        lines.append(f"fp32 is recommended: {why}")
    return lines


def doubts(manifest: Manifest) -> list[str]:
    """Why the measured speeds are not to be relied on, if they are not."""
    measured = [variant for variant in manifest.variants if variant.speed]
    lines = []
    load = measured[0].speed["machine"].get("other_load")
    if load is not None and load > BUSY:
        lines.append(
            f"the machine was too busy to measure: other programs took {100 * load:.0f}% of its processors meanwhile; "
            "build again with nothing else running"
        )
    for variant in measured:
        best = variant.speed["best"]
        low, high = best.get("ratio_low", best["ratio"]), best.get("ratio_high", best["ratio"])
        if high > SPREAD * low:
            lines.append(f"{variant.name}: the ratio was {low:.2f} in one round and {high:.2f} in another")
    return lines


def markdown(manifest: Manifest) -> str:
    """The table and its notes in Markdown."""
    rows = table(manifest)
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---|---" + "|---:" * (len(COLUMNS) - 2) + "|")
    notes = [f"- {line.replace('*', chr(92) + '*', 1)}" for line in remarks(manifest)]
    return "\n".join([f"### {manifest.task}: {manifest.title}", "", *lines, "", *notes]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
