"""How a task is fine-tuned: the table [tasks.X.train]."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .schema import Faults


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Hyperparameters of fine-tuning."""

    epochs: float = 3.0
    batch_size: int = 32  # rows
    learning_rate: float | None = None  # None: the base model's (base_models.py)
    warmup: float = 0.1  # share of all steps
    weight_decay: float = 0.01
    dropout: float = 0.1
    max_grad_norm: float = 1.0
    accumulate: int = 1  # batches per optimizer step
    evals_per_epoch: int = 2
    patience: int = 4  # stop after this many evaluations without a better metric on the held-out rows
    windows_per_text: int = 0  # train on this many windows from the start of a long text; 0: on all
    choose_rows: int = (
        1000  # training rows held out (at most a tenth) to choose the best checkpoint by; 0: keep the last
    )
    lora: int = 0  # rank of LoRA matrices beside the encoder's linear layers, trained in their place; 0: train all
    lora_alpha: float = 16.0  # what they compute is multiplied by alpha / rank
    lora_dropout: float = 0.0  # of their inputs
    lora_rate: float = 5.0  # their learning rate, as a multiple of learning_rate
    amp: bool = True  # mixed precision where the device supports it

    def __post_init__(self) -> None:
        positive = (
            "epochs",
            "batch_size",
            "learning_rate",
            "max_grad_norm",
            "accumulate",
            "evals_per_epoch",
            "patience",
            "lora_alpha",
            "lora_rate",
        )
        faults = Faults()
        for name in positive:
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                faults.lines.append(f"train.{name} is {value}; it must be above 0")
        for name in ("windows_per_text", "choose_rows", "lora"):
            if getattr(self, name) < 0:
                faults.lines.append(f"train.{name} is {getattr(self, name)}; it must be 0 or above")
        for name in ("warmup", "dropout", "weight_decay", "lora_dropout"):
            if not 0 <= getattr(self, name) < 1:
                faults.lines.append(f"train.{name} is {getattr(self, name)}; it must be at least 0 and below 1")
        faults.check()
