"""Hyperparameters of a task-agnostic distillation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hyperparameters of a task-agnostic distillation."""

    steps: int = 1000  # of the optimizers
    batch_size: int = 32  # sequences per step
    length: int = 128  # tokens per sequence
    learning_rate: float = 6e-4  # at its peak; as in the largest published MiniLM v2 runs
    warmup: float = 0.05  # share of all steps
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0  # gradients are clipped to this norm
    relation: float = 1.0  # weight of the attention relations
    hidden: float = 1.0  # weight of the hidden states
    relation_heads: int = 0  # 0: the most that divide all hidden sizes, up to 16
    characters: float = 0.0  # share of the texts that are read character by character; the others as pieces
    teacher_layer: int = 0  # whose relations are learnt, from 1; 0: the last
    log_every: int = 20  # steps between rows of log.jsonl
    evaluate_every: int = 200  # steps between held-out losses
    save_seconds: float = 120  # between saved states, besides one at each evaluation

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "learning_rate", "max_grad_norm", "log_every", "evaluate_every"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{_flag(name)} {getattr(self, name)}: must be above 0")
        for name in ("warmup", "weight_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{_flag(name)} {getattr(self, name)}: must be at least 0 and below 1")
        if not 0 <= self.characters <= 1:
            raise ConfigError(f"--characters {self.characters}: must be from 0 to 1")
        if min(self.relation, self.hidden) < 0 or self.relation + self.hidden == 0:
            raise ConfigError("--relation, --hidden: weights of the two losses, at least 0 and not both 0")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
