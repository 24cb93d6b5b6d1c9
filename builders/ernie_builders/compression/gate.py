"""The accuracy gate: whether a variant lost too much against fp32 to be published."""

from __future__ import annotations

from dataclasses import dataclass, field

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.manifest import Evaluation

from ..metrics.row_metric import Loss

SIGNIFICANT = 0.05  # a loss that chance alone reaches less often


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


def judge(fp32: Evaluation, variant: Evaluation, metric: str, max_drop: float, loss: Loss | None = None) -> Verdict:
    """Compare the evaluations of fp32, the baseline, and of a variant on the same rows.

    max_drop: points of `metric` that the variant may lose. It is refused for a larger loss that is hardly chance, by
    the paired test of `loss` (None: whatever the loss may be). Without labelled rows it passes, as nothing can be said.
    """
    if not variant.rows:
        return Verdict(figures={"max_drop": max_drop, "rows": 0})
    value, baseline = variant.metrics[metric], fp32.metrics[metric]
    drop = baseline - value
    figures: JsonObject = {"max_drop": max_drop, "drop": round(drop, 3), "metric": metric, "rows": variant.rows}
    if loss is not None:
        figures |= {"drop_error": loss.standard_error, "p_value": round(loss.p_value, 4)}
    if drop > max_drop and (loss is None or loss.p_value <= SIGNIFICANT):
        return Verdict(
            reason=f"{variant.split} {metric} is {value:.2f}, fp32 has {baseline:.2f}: {drop:.2f} points lost, "
            f"allowed are {max_drop:g}" + (f" (p = {loss.p_value:.2g})" if loss else ""),
            figures=figures,
        )
    return Verdict(figures=figures)
