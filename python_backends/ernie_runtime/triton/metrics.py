"""Counters of the encoders on Triton's metrics endpoint (custom metrics of its Python backend)."""

from __future__ import annotations

from typing import Any

REAL, PADDING = "ernie_real_tokens_total", "ernie_padding_tokens_total"
DESCRIPTIONS = {
    REAL: "Tokens of texts, special tokens included, that the engine was given",
    PADDING: "Padding tokens that the engine was given beside them; padding waste is padding / real",
}


class TokenCounters:
    """Counters of one model version, with labels `model` and `version`; its instances share them.

    Callable as `ernie_runtime.steps.batching.Observe`. An increment takes some 25 microseconds (a message to the
    server), so there is one per execution, and none where there is nothing to add.
    """

    def __init__(self, pb_utils: Any, model: str, version: str) -> None:
        kind = pb_utils.MetricFamily.COUNTER
        self._families = [  # referenced: a deleted family deletes its metrics
            pb_utils.MetricFamily(name=name, description=text, kind=kind) for name, text in DESCRIPTIONS.items()
        ]
        labels = {"model": model, "version": version}
        self._real, self._padding = [family.Metric(labels=labels) for family in self._families]

    def __call__(self, real: int, padding: int) -> None:
        """Add the tokens of one execution."""
        self._real.increment(real)
        if padding:
            self._padding.increment(padding)

    def close(self) -> None:
        """Delete the metrics while the server still listens, and before their families: in the other order the stub
        process crashes when it ends.
        """
        del self._real, self._padding
        self._families.clear()
