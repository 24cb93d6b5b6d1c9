"""LoRA: the encoder's weights stay, and low-rank matrices beside its linear layers are trained.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models". A linear layer computes
x W + b + (alpha / rank) x A B with A [in, rank], B [rank, out]; B starts at 0, so the model starts as the base model.
The head, the pooler and the layers' normalizations are trained whole.

PaddleNLP's LoRAModel is not used: it folds A B into W for each evaluation and subtracts it afterwards, so that
evaluating changes the weights by rounding, and a resumed run would not give the same ones; it replaces layers, so that
neither the parameters' names nor the faster layers of modeling/cpu_layers.py remain.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from ..checkpoints.weight_formats import Weights
from ..config.train import TrainConfig
from ..errors import ConfigError
from ..modeling.model import is_head, weights_of

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.nn import Layer

A, B = "lora_A", "lora_B"  # parameters of a linear layer


def add_adapters(model: Layer, config: TrainConfig) -> None:
    """Freeze the encoder (`model.ernie`), and give its linear layers trainable matrices of rank `config.lora`.

    ConfigError where a layer is too small for the rank.
    """
    import paddle

    for name, parameter in model.named_parameters():
        parameter.stop_gradient = is_frozen(name)
    random = paddle.nn.initializer.KaimingUniform(negative_slope=math.sqrt(5), nonlinearity="leaky_relu")
    rates = paddle.ParamAttr(learning_rate=config.lora_rate)
    for layer in model.ernie.encoder.sublayers():
        if isinstance(layer, paddle.nn.Linear):
            inputs, outputs = layer.weight.shape
            if config.lora >= min(inputs, outputs):
                raise ConfigError(
                    f"train.lora is {config.lora}; the encoder has layers of {inputs} x {outputs}, so the rank must be "
                    f"below {min(inputs, outputs)}"
                )
            shapes = {A: ([inputs, config.lora], random), B: ([config.lora, outputs], paddle.nn.initializer.Constant())}
            for part, (shape, initializer) in shapes.items():
                layer.add_parameter(part, layer.create_parameter(shape, rates, default_initializer=initializer))
            layer.forward = partial(_forward, layer, config.lora_alpha / config.lora, config.lora_dropout)


def is_frozen(name: str) -> bool:
    """Whether LoRA leaves a weight of a model as it is.

    Normalizations are trained as they are small, and because Paddle 3.3's gradient through one on the CPU is wrong
    where its scale is frozen.
    """
    return not is_head(name) and not ("layers." in name and "norm" in name)


def merged_weights(model: Layer, config: TrainConfig) -> Weights:
    """The model's weights as float32 arrays, with its adapters added to the weights that they are beside."""
    weights = weights_of(model)
    for name in [name for name in weights if name.endswith(f".{A}")]:
        layer = name.removesuffix(f".{A}")
        change = weights.pop(f"{layer}.{A}") @ weights.pop(f"{layer}.{B}")
        weights[f"{layer}.weight"] = weights[f"{layer}.weight"] + change * (config.lora_alpha / config.lora)
    return weights


def _forward(layer: Layer, scale: float, dropout: float, x: Tensor) -> Tensor:
    """The output of a linear layer with its adapter."""
    import paddle

    dropped = paddle.nn.functional.dropout(x, dropout, training=layer.training) if dropout else x
    small = paddle.matmul(dropped, getattr(layer, A)) * scale  # here, where it is [..., rank] and not [..., out]
    output: Tensor = type(layer).forward(layer, x) + paddle.matmul(small, getattr(layer, B))
    return output
