"""The stages of a task: which run, in which order, for which variant."""

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
"""Runs a stage, or looks its output up."""
BEFORE_PUBLISHING: dict[str, Stage[Any]] = {
    "data": data.STAGE,
    "finetune": finetune.STAGE,
    "export": export.STAGE,
    "evaluate": evaluate.STAGE,
}
"""Value of --until -> stage, but for `publish`."""


def steps(variants: Sequence[str], until: str) -> Iterator[tuple[Stage[Any], str]]:
    """The stages up to `until` in order, each with the variant that it is about: fp32 for the task's own stages."""
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
    """The stages of a variant, which follow the task's own."""
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
    """Run the stages up to `until`, with those of the task's variants."""
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
    """Run the task's own stages up to `until`, without its variants."""
    return run_task(replace(context, task=replace(context.task, variants=(FULL.name,))), until)
