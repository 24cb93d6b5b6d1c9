"""Teacher and students of a task-agnostic distillation, and the losses between them on a batch of tokens.

Source: distillation/relations.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..checkpoints.checkpoint import Checkpoint
from ..errors import ConfigError
from ..framework import import_paddle
from ..modeling.model import build_layer, weights_of
from ..modeling.width import layers_kept
from ..training.optimizer import Optimizer, OptimizerConfig
from ..training.state import Parts
from .recipe import Recipe
from .relations import Watch, divergence, relation, relation_heads

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.nn import Layer
    from paddlenlp.transformers import ErnieConfig


class Student:
    """One student: its layers, their projections to the teacher's hidden size, its optimizer."""

    def __init__(self, name: str, start: Checkpoint, teacher: Teacher, recipe: Recipe, seed: int) -> None:
        import paddle

        self.name, self.start = name, start
        hidden = start.config.hidden_size
        self.heads = relation_heads([teacher.hidden, hidden], recipe.relation_heads)
        with paddle.utils.unique_name.guard(f"{name}_"):
            self.model = encoder_layer(start, seed)
            layers = start.config.num_hidden_layers
            if layers > teacher.layers:
                raise ConfigError(f"--student {name}: {layers} layers, the teacher has {teacher.layers}; take no more")
            self.matching_states = [0, *(1 + i for i in layers_kept(teacher.layers, layers))]
            is_same_size = hidden == teacher.hidden
            projected = self.matching_states if recipe.hidden and not is_same_size else []
            self.projections = paddle.nn.LayerList([paddle.nn.Linear(hidden, teacher.hidden) for _ in projected])
            named = [*self.model.named_parameters(), *self.projections.named_parameters()]
            self.optimizer = Optimizer(
                named,
                OptimizerConfig(
                    learning_rate=recipe.learning_rate,
                    warmup=recipe.warmup,
                    weight_decay=recipe.weight_decay,
                    max_grad_norm=recipe.max_grad_norm,
                ),
            )
        self.watch = Watch(self.model, -1)

    def losses(self, ids: Tensor, teacher: Teacher, recipe: Recipe) -> tuple[Tensor, Tensor]:
        """(loss of the attention relations, loss of the hidden states) on the batch that the teacher saw last."""
        import paddle

        self.model(ids)
        relations, hidden = paddle.zeros([]), paddle.zeros([])
        if recipe.relation:
            for teacher_relation, student_output in zip(teacher.relations(self.heads), self.watch.vectors, strict=True):
                part = divergence(teacher_relation, relation(student_output, self.heads))
                relations = relations + part / len(self.watch.vectors)
        if recipe.hidden:
            for index, (state, teacher_index) in enumerate(zip(self.watch.states, self.matching_states, strict=True)):
                student_output = self.projections[index](state) if len(self.projections) else state
                hidden = hidden + ((student_output - teacher.watch.states[teacher_index]) ** 2).mean() / len(
                    self.matching_states
                )
        return relations, hidden

    def parts(self) -> Parts:
        """File name -> what a saved state holds of it."""
        projections = {"projections": self.projections} if len(self.projections) else {}
        return {"model": self.model, **projections, "optimizer": self.optimizer.adamw}

    def weights(self) -> dict[str, np.ndarray]:
        """The encoder's weights, without the pooler, which is not trained."""
        return {name: value for name, value in weights_of(self.model).items() if "pooler" not in name}


class Teacher:
    """The encoder that the students learn from."""

    def __init__(self, checkpoint: Checkpoint, layer: int = 0) -> None:
        import paddle

        self.hidden, self.layers = checkpoint.config.hidden_size, checkpoint.config.num_hidden_layers
        if not 0 <= layer <= self.layers:
            raise ConfigError(f"--teacher-layer {layer}: the teacher has layers 1 to {self.layers}")
        with paddle.utils.unique_name.guard("teacher_"):
            self.model = encoder_layer(checkpoint, 0)
        self.model.eval()
        self.watch = Watch(self.model, layer - 1)
        self._relations: dict[int, list[Tensor]] = {}

    def see(self, ids: Tensor) -> None:
        """Run on a batch of ids, int64 [B, L]; the losses refer to it until the next call."""
        import paddle

        with paddle.no_grad():
            self.model(ids)
        self._relations = {}

    def relations(self, heads: int) -> list[Tensor]:
        """Attention relations of the last batch in `heads` relation heads, computed once for all students."""
        import paddle

        if heads not in self._relations:
            with paddle.no_grad():
                self._relations[heads] = [relation(vectors, heads) for vectors in self.watch.vectors]
        return self._relations[heads]


def encoder_layer(checkpoint: Checkpoint, seed: int) -> Layer:
    """A Paddle layer with the encoder as `.ernie`, called with int64 [B, L]."""
    paddle = import_paddle()

    class Encoder(paddle.nn.Layer):  # type: ignore[name-defined, misc]
        def __init__(self, config: ErnieConfig) -> None:
            super().__init__()
            from paddlenlp.transformers import ErnieModel

            self.ernie = ErnieModel(config)

        def forward(self, ids: Tensor) -> Tensor:
            return self.ernie(ids)

    return build_layer(Encoder, checkpoint, seed=seed)
