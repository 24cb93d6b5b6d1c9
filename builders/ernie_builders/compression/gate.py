"""The accuracy gate: whether a variant lost too much against fp32 to be published."""

from __future__ import annotations

from dataclasses import dataclass, field

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.manifest import Evaluation


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a variant may be published; if not, `reason` has the figure and the limit."""

    reason: str = ""
    figures: Json = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether the variant may be published."""
        return not self.reason

    def to_manifest(self) -> JsonObject:
        """As the variant's `gate` in the manifest."""
        return {"passed": self.passed, **({"reason": self.reason} if self.reason else {}), **self.figures}


def judge(fp32: Evaluation, variant: Evaluation, metric: str, max_drop: float) -> Verdict:
    """Compare the evaluations of fp32, the baseline, and of a variant on the same rows.

    max_drop: points of `metric` that the variant may lose. Without labelled rows it passes, as nothing can be said.
    """
    if not variant.rows:
        return Verdict(figures={"max_drop": max_drop, "rows": 0})
    value, baseline = variant.metrics[metric], fp32.metrics[metric]
    drop = baseline - value
    figures = {"max_drop": max_drop, "drop": round(drop, 3), "metric": metric, "rows": variant.rows}
    if drop > max_drop:
        return Verdict(
            reason=f"{variant.split} {metric} is {value:.2f}, fp32 has {baseline:.2f}: {drop:.2f} points lost, "
            f"allowed are {max_drop:g}",
            figures=figures,
        )
    return Verdict(figures=figures)
