"""Teacher and student of a task-agnostic distillation: what one shows and the other copies, for a batch of tokens.

Source: distillation/relations.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..checkpoints.checkpoint import Checkpoint
from ..errors import ConfigError
from ..framework import import_paddle
from ..modeling.model import build_layer, weights_of
from ..modeling.width import layers_kept
from ..training.optimizer import Optimizer, OptimizerConfig
from .recipe import Recipe
from .relations import Watch, divergence, relation, relation_heads


class Student:
    """One student: its layers, its projections to the teacher's size, its optimizer."""

    def __init__(self, name: str, start: Checkpoint, teacher: Teacher, recipe: Recipe, seed: int) -> None:
        import paddle

        self.name, self.start = name, start
        hidden = start.config.hidden_size
        self.heads = relation_heads([teacher.hidden, hidden], recipe.relation_heads)
        with paddle.utils.unique_name.guard(f"{name}_"):
            self.model = encoder_layer(start, seed)
            count = start.config.num_hidden_layers
            if count > teacher.layers:
                raise ConfigError(f"--student {name}: {count} layers, the teacher has {teacher.layers}; take no more")
            self.likes = [0, *(1 + i for i in layers_kept(teacher.layers, count))]
            same = hidden == teacher.hidden
            self.projections = paddle.nn.LayerList(
                [] if same or not recipe.hidden else [paddle.nn.Linear(hidden, teacher.hidden) for _ in self.likes]
            )
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

    def losses(self, ids: Any, teacher: Teacher, recipe: Recipe) -> tuple[Any, Any]:
        """(relations, hidden states): what is still different from the teacher, for the batch that it has just seen."""
        import paddle

        self.model(ids)
        relations, hidden = paddle.zeros([]), paddle.zeros([])
        if recipe.relation:
            for theirs, ours in zip(teacher.relations(self.heads), self.watch.vectors, strict=True):
                relations = relations + divergence(theirs, relation(ours, self.heads)) / len(self.watch.vectors)
        if recipe.hidden:
            for place, (state, like) in enumerate(zip(self.watch.states, self.likes, strict=True)):
                ours = self.projections[place](state) if len(self.projections) else state
                hidden = hidden + ((ours - teacher.watch.states[like]) ** 2).mean() / len(self.likes)
        return relations, hidden

    def parts(self) -> dict[str, Any]:
        """What a state holds of it, by file name."""
        projections = {"projections": self.projections} if len(self.projections) else {}
        return {"model": self.model, **projections, "optimizer": self.optimizer.adamw}

    def weights(self) -> dict[str, np.ndarray]:
        """Of the encoder, without the pooler, which nothing has taught."""
        return {name: value for name, value in weights_of(self.model).items() if "pooler" not in name}


class Teacher:
    """The encoder that is copied."""

    def __init__(self, checkpoint: Checkpoint, layer: int = 0) -> None:
        import paddle

        self.hidden, self.layers = checkpoint.config.hidden_size, checkpoint.config.num_hidden_layers
        if not 0 <= layer <= self.layers:
            raise ConfigError(f"--teacher-layer {layer}: the teacher has layers 1 to {self.layers}")
        with paddle.utils.unique_name.guard("teacher_"):
            self.model = encoder_layer(checkpoint, 0)
        self.model.eval()
        self.watch = Watch(self.model, layer - 1)
        self._relations: dict[int, list[Any]] = {}

    def see(self, ids: Any) -> None:
        """One pass over a batch, int64 [B, L]."""
        import paddle

        with paddle.no_grad():
            self.model(ids)
        self._relations = {}

    def relations(self, heads: int) -> list[Any]:
        """Of the batch that it has seen, in so many heads; computed once for all students that take so many."""
        import paddle

        if heads not in self._relations:
            with paddle.no_grad():
                self._relations[heads] = [relation(vectors, heads) for vectors in self.watch.vectors]
        return self._relations[heads]


def encoder_layer(checkpoint: Checkpoint, seed: int) -> Any:
    """A Paddle layer with the encoder as `.ernie`, called with int64 [B, L]."""
    paddle = import_paddle()

    class Encoder(paddle.nn.Layer):  # type: ignore[name-defined]
        def __init__(self, config: Any) -> None:
            super().__init__()
            from paddlenlp.transformers import ErnieModel

            self.ernie = ErnieModel(config)

        def forward(self, ids: Any) -> Any:
            return self.ernie(ids)

    return build_layer(Encoder, checkpoint, seed=seed)
