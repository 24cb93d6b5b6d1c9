"""AdamW: warm-up and linear decay, gradient accumulation and clipping, loss scaling for float16."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import CheckpointError
from ..framework import import_paddle
from .state import Parts

if TYPE_CHECKING:
    from paddle import Tensor

NOT_DECAYED = ("bias", "norm")  # parameters with these in their names have no weight decay
INITIAL_SCALE = 2.0**15  # of the loss, in float16


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """The rate of a step (from 0): linear warm-up over the share `warmup` of all steps, then linear decay to 0."""
    rising = max(1, int(steps * warmup))
    return peak * (step + 1) / rising if step < rising else peak * max(0.0, (steps - step) / max(1, steps - rising))


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Settings of AdamW."""

    learning_rate: float  # at its peak
    warmup: float  # share of all steps
    weight_decay: float
    max_grad_norm: float  # the norm of all gradients together is clipped to it
    beta2: float = 0.999
    epsilon: float = 1e-8
    float16: bool = False  # scale the loss, whose gradients would vanish in float16


class Optimizer:
    """AdamW over the parameters of one model."""

    def __init__(self, named_parameters: Sequence[tuple[str, Tensor]], config: OptimizerConfig) -> None:
        """named_parameters: (name in the model, Paddle parameter)."""
        paddle = import_paddle()
        self.config = config
        decayed = {p.name for name, p in named_parameters if not any(part in name for part in NOT_DECAYED)}
        self.adamw = paddle.optimizer.AdamW(
            learning_rate=config.learning_rate,
            beta2=config.beta2,
            epsilon=config.epsilon,
            parameters=[parameter for _, parameter in named_parameters],
            weight_decay=config.weight_decay,
            grad_clip=paddle.nn.ClipGradByGlobalNorm(config.max_grad_norm),
            apply_decay_param_fun=decayed.__contains__,
        )
        self.scaler = paddle.amp.GradScaler(enable=config.float16, init_loss_scaling=INITIAL_SCALE)

    def update(self, losses: Iterable[Tensor], count: int, step: int, steps: int) -> float:
        """One step on the mean of `count` losses (scalar tensors); each one's gradients are computed as it comes.

        step: counted from 0; steps: of the whole training. The value of the last loss.
        """
        self.adamw.set_lr(learning_rate(step, steps, self.config.learning_rate, self.config.warmup))
        last: Tensor | float = math.nan
        for last in losses:
            self.scaler.scale(last / count).backward()
        self.scaler.step(self.adamw)
        self.scaler.update()
        self.adamw.clear_grad()
        return float(last)

    def parts(self, extension: str) -> Parts:
        """File name -> what a saved state holds of it: moments, and in float16 the scale of the loss."""
        parts = {f"optimizer{extension}": self.adamw}
        return {**parts, f"scaler{extension}": self.scaler} if self.config.float16 else parts


def check_finite(loss: float, step: int, advice: str, who: str = "") -> None:
    """CheckpointError if a loss is not finite; advice: what to do, such as `lower --learning-rate`."""
    if not math.isfinite(loss):
        raise CheckpointError(f"{who}the loss became {loss} at step {step}: {advice}")
