"""Which stages a build of a task runs, in which order, for which variant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ..compress.recipe import FULL, parse
from . import Context, Done, Stage, convert, data, evaluate, export, finetune, measure, prune, publish, qat
from .names import done_of

STAGES = {"data": data, "finetune": finetune, "export": export, "evaluate": evaluate, "publish": publish}
Run = Callable[[Stage, Context, dict[str, Done]], Done]


def run_task(context: Context, until: str, run: Run) -> dict[str, Done]:
    """Run the stages up to `until`; what each variant's stages leave bears its name (`publish.done_of`)."""
    done: dict[str, Done] = {}
    for name in list(STAGES)[: list(STAGES).index(until) + 1]:
        if name == "publish":
            for variant in context.task.variants:
                _run_variant(context, variant, done, run)
            if len(context.task.variants) > 1:
                run(measure, context, done)
        run(STAGES[name], context, done)
    return done


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


def _run_variant(context: Context, name: str, done: dict[str, Done], run: Run) -> None:
    own = {stage: result for stage, result in done.items() if "/" not in stage}
    for stage in variant_stages(name):
        run(stage, replace(context, recipe=parse(name)), own)
    if name != FULL.name:
        done |= {done_of(name, stage): own[stage] for stage in ("export", "evaluate")}
