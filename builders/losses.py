"""Losses that kinds share."""

from __future__ import annotations

from typing import Any

from .kinds import IGNORED


def token_loss(logits: Any, targets: Any) -> Any:
    """Mean cross entropy over the tokens that have a target; logits [B, L, C], targets int64 [B, L].

    By hand: where `ignore_index` is negative, Paddle's own mean counts ignored tokens in, so that a batch would weigh
    the less the more padding it has.
    """
    import paddle.nn.functional as F

    summed = F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
    return summed / (targets != IGNORED).sum().clip(min=1).astype(summed.dtype)
