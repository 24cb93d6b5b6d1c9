"""A task's variants in its manifest: their figures, the gate's verdicts, and which of them is recommended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ernie_runtime.manifest import Evaluation, Manifest, Variant

from ...compression.gate import Verdict, judge
from ...compression.measure import may_be_chosen, rank
from ...config.variants import FULL
from ...errors import PublishError
from ...kinds import get_builder_kind
from ..context import Context
from ..results import Measured
from ..stage import Finished


def variant_of(context: Context, finished: Finished, name: str) -> Variant:
    """The variant with the results of its stages: files, settings, figures, speed, and whether it lost too much."""
    exported, evaluated = finished.variant(name).exported.result, finished.variant(name).evaluated.result
    metric, max_drop = get_builder_kind(context.task.kind).main_metric, context.task.compress.max_drop
    verdict = judge(finished.evaluated.result.evaluation, evaluated.evaluation, metric, max_drop, evaluated.loss)
    measured = finished.get(Measured)
    return Variant(
        name=name,
        engine=exported.engine,
        file=exported.file,
        bytes=exported.bytes,
        sha256=exported.sha256,
        max_abs_error=exported.max_abs_error,
        evaluations=evaluations(context, finished, name),
        weights=exported.weights,
        weights_sha256=exported.weights_sha256,
        settings=exported.settings,
        made=exported.made,
        gate=verdict.to_manifest() if name != FULL.name else {},
        speed=measured.result.speed(name) if measured else {},
    )


def evaluations(context: Context, finished: Finished, variant: str) -> tuple[Evaluation, ...]:
    """This build's figures, and those on the card of a checkpoint that ships.

    Those on the card are left out if they have other metrics: a checkpoint may serve a task of another kind, and a pair
    classifier's accuracy says nothing about a ranking.
    """
    main = get_builder_kind(context.task.kind).main_metric
    card = context.card.evaluations if variant == FULL.name else ()
    evaluated = finished.variant(variant).evaluated.result
    built = evaluated.evaluations() if evaluated.rows else []
    return (*(evaluation for evaluation in card if main in evaluation.metrics), *built)


def passed(variants: Mapping[str, Variant], force: bool) -> tuple[dict[str, Variant], list[str]]:
    """The variants to publish, and a line for each that the gate refuses; force: publish these too.

    PublishError if fp32 is refused: there is nothing to compare the others with.
    """
    failed = [name for name, variant in variants.items() if not variant.gate.get("passed", True)]
    refused = [f"{name}: {variants[name].gate['reason']}" for name in failed]
    if FULL.name in failed and not force:
        raise PublishError(f"nothing was published; {'; '.join(refused)} (--force publishes it nevertheless)")
    return {name: variant for name, variant in variants.items() if force or name not in failed}, refused


def with_verdict(variant: Variant, verdict: Verdict | None) -> Variant:
    """The variant with a further verdict of the gate; the first refusal stands. None: there is no further one."""
    if verdict is None:
        return variant
    gate = {**verdict.to_manifest(), **variant.gate}
    if not verdict.passed and variant.gate.get("passed", True):
        gate |= {"passed": False, "reason": verdict.reason}
    return replace(variant, gate=gate)


def with_variants(manifest: Manifest, variants: Mapping[str, Variant], pick: str) -> Manifest:
    """The manifest with these variants; the one that `pick` selects is recommended, else fp32.

    A variant that the gate refused (--force) is recommended only if `pick` is its name.
    """
    eligible = {name: variant for name, variant in variants.items() if may_be_chosen(variant)}
    picked = pick if pick in variants or not eligible else rank(eligible, pick)
    recommended = picked if picked in variants else FULL.name
    return replace(manifest, variants=tuple(variants.values()), recommended=recommended)
