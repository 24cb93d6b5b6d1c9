"""Which stages a build of a task runs, in which order, for which variant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..config.variants import FULL, parse_variant
from . import data, evaluate, export, finetune, publish
from .context import Context
from .stage import Finished, Output, Stage, run_stage
from .variants import convert, measure, prune, qat

Run = Callable[[Stage[Any], Context, Finished], Output[Any]]
"""Runs a stage, or looks up what it would do."""
BEFORE_PUBLISHING: dict[str, Stage[Any]] = {
    "data": data.STAGE,
    "finetune": finetune.STAGE,
    "export": export.STAGE,
    "evaluate": evaluate.STAGE,
}
"""What --until takes, besides `publish` -> the stage."""


def steps(variants: Sequence[str], until: str) -> Iterator[tuple[Stage[Any], str]]:
    """Every stage up to `until`, in order, and the variant that it is about (fp32 for those of the task itself)."""
    for name, stage in BEFORE_PUBLISHING.items():
        yield stage, FULL.name
        if name == until:
            break
    if until in ("evaluate", "publish"):
        yield from ((stage, variant) for variant in variants for stage in variant_stages(variant))
    if until == "publish":
        if len(variants) > 1:
            yield measure.STAGE, FULL.name
        yield publish.STAGE, FULL.name


def variant_stages(name: str) -> Iterator[Stage[Any]]:
    """What a variant needs besides the stages of the task itself."""
    recipe = parse_variant(name)
    if recipe.pruned:
        yield prune.STAGE
    if recipe.precision == "qat8":
        yield qat.STAGE
    if recipe.pruned or recipe.precision == "qat8":
        yield export.STAGE
    if recipe.converted:
        yield convert.STAGE
    if recipe != FULL:
        yield evaluate.STAGE


def run_task(context: Context, until: str, run: Run = run_stage) -> Finished:
    """Run the stages up to `until`, those of the variants too."""
    task, variants = Finished(), dict[str, Finished]()
    for stage, variant in steps(context.task.variants, until):
        about_task = variant == FULL.name
        before = replace(task, variants=variants) if about_task else variants.get(variant, task)
        output = run(stage, replace(context, recipe=parse_variant(variant)), before)
        if about_task:
            task = task.having(output)
        else:
            variants[variant] = before.having(output)
    return replace(task, variants=variants)


def run_plain(context: Context, until: str) -> Finished:
    """The same for the plain fp32 alone, whatever variants the task has."""
    return run_task(replace(context, task=replace(context.task, variants=(FULL.name,))), until)
