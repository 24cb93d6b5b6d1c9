"""The gate: a variant is published only with the accuracy and the answers that it should have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """Whether a variant may be published; reason: the figure and the bar, where it may not."""

    reason: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether it may."""
        return not self.reason

    def to_manifest(self) -> dict[str, Any]:
        """As the variant's `gate` in the manifest."""
        return {"passed": self.passed, **({"reason": self.reason} if self.reason else {}), **self.figures}


def judge(reference: Mapping[str, Any], own: Mapping[str, Any], max_drop: float) -> Verdict:
    """Compare the evaluations (figures of the stage `evaluate`) of a variant and of the measure, fp32.

    max_drop: points of the main metric that the variant may lose. Without labelled text nothing can be said: passed.
    """
    if not own["rows"]:
        return Verdict(figures={"max_drop": max_drop, "rows": 0})
    main = own["main"]
    ours, theirs = own["metrics"][main], reference["metrics"][main]
    figures = {"max_drop": max_drop, "drop": round(theirs - ours, 3), "metric": main, "rows": own["rows"]}
    if theirs - ours > max_drop:
        return Verdict(
            f"{own['split']} {main} is {ours:.2f}, fp32 has {theirs:.2f}: {theirs - ours:.2f} points lost, "
            f"allowed are {max_drop:g}",
            figures,
        )
    return Verdict(figures=figures)
