"""Which stages a build of a task runs, in which order, for which variant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ..config.variants import FULL, parse
from . import Context, Done, Stage, data, evaluate, export, finetune, publish
from .names import done_of
from .variants import convert, measure, prune, qat

STAGES = {"data": data, "finetune": finetune, "export": export, "evaluate": evaluate, "publish": publish}
Run = Callable[[Stage, Context, dict[str, Done]], object]
"""Runs a stage, or looks it up, and adds what it leaves to the finished ones, under the name it stands for."""


def steps(variants: Sequence[str], until: str) -> Iterator[tuple[Stage, str]]:
    """Every stage up to `until`, in order, and the variant that it is about (fp32 for those of the task itself)."""
    for name in list(STAGES)[: list(STAGES).index(until) + 1]:
        if name == "publish":
            yield from ((stage, variant) for variant in variants for stage in variant_stages(variant))
            if len(variants) > 1:
                yield measure, FULL.name
        yield STAGES[name], FULL.name


def variant_stages(name: str) -> Iterator[Stage]:
    """What a variant needs besides the stages of the task itself."""
    recipe = parse(name)
    if recipe.pruned:
        yield prune
    if recipe.precision == "qat8":
        yield qat
    if recipe.pruned or recipe.precision == "qat8":
        yield export
    if recipe.converted:
        yield convert
    if recipe != FULL:
        yield evaluate


def run_task(context: Context, until: str, run: Run) -> dict[str, Done]:
    """Run the stages up to `until`; a variant's export and evaluation bear its name (`names.done_of`)."""
    done: dict[str, Done] = {}
    own: dict[str, dict[str, Done]] = {FULL.name: done}
    for stage, variant in steps(context.task.variants, until):
        mine = own.setdefault(variant, dict(done))
        run(stage, replace(context, recipe=parse(variant)), mine)
        done |= {done_of(variant, name): mine[name] for name in ("export", "evaluate") if name in mine}
    return done
