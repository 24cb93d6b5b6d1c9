"""Distil a task's model on its training rows: match labels, and the teacher's outputs and hidden states.

Source: DynaBERT (Hou et al. 2020): soft targets, and the mean squared error of embeddings and hidden states. The loss
of the outputs is their squared error too (Ba and Caruana 2014), which works for every kind of head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ernie_runtime.kinds import get_kind

from ..checkpoints.checkpoint import Checkpoint
from ..compression.qat import make_quantized
from ..kinds import LayerOutput, Tensors
from ..modeling.model import build_model
from ..modeling.width import layers_kept
from .trainer import Job, Trainer

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.nn import Layer

HARD, SOFT, HIDDEN = 0.5, 1.0, 0.1  # weights: labels' loss, outputs' squared error, states' squared error


class Distiller(Trainer):
    """Fine-tunes a student with a teacher of the same task and hidden size; its layers may be fewer or narrower.

    eight_bits: the student rounds as 8-bit kernels do; symmetric: as those of TensorRT.
    """

    all_tokens = True

    def __init__(self, teacher: Checkpoint, job: Job, eight_bits: bool = False, symmetric: bool = False) -> None:
        super().__init__(job)
        if eight_bits:
            make_quantized(self.model, symmetric)
        with self.paddle.utils.unique_name.guard("teacher_"):
            self.teacher = build_model(self.kind, teacher, job.manifest, ready=True)
        self.teacher.eval()
        self.specs = get_kind(job.manifest.kind).encoder_outputs(job.manifest)
        self._hidden = {"student": encoder_states(self.model), "teacher": encoder_states(self.teacher)}

    def _loss(self, outputs: Tensors, targets: Tensors, ids: Tensor, types: Tensor) -> Tensor:
        paddle = self.paddle
        with paddle.no_grad():
            wanted = self.kind.outputs(self.teacher(ids, token_type_ids=types))
        real = (ids != 0).astype("float32")  # [B, L]
        loss = HARD * self.kind.loss(outputs, targets)
        for spec in self.specs:
            if spec.dtype == "FP32":
                tokens = real if spec.per_token else None
                loss = loss + SOFT * squared_error(outputs[spec.name], wanted[spec.name], tokens)
        student, teacher = self._hidden["student"], self._hidden["teacher"]
        for state, like in zip(student, matched(teacher, len(student)), strict=True):
            loss = loss + HIDDEN / len(student) * squared_error(state, like.detach(), real)
        return loss


def matched(teacher: Sequence[Tensor], count: int) -> list[Tensor]:
    """The teacher's states for a student with `count` states: embeddings, and layers spread evenly."""
    embeddings, *layers = teacher
    return [embeddings, *(layers[i] for i in layers_kept(len(layers), count - 1))]


def record_outputs(layers: Sequence[Layer]) -> list[Tensor]:
    """A list that, after each call of a model, holds what these layers of it gave."""
    outputs: list[Tensor] = [None] * len(layers)

    def recorder(index: int) -> Callable[[Layer, tuple[Tensor, ...], LayerOutput], None]:
        def hook(_layer: Layer, _inputs: tuple[Tensor, ...], output: LayerOutput) -> None:
            outputs[index] = output[0] if isinstance(output, tuple) else output

        return hook

    for index, layer in enumerate(layers):
        layer.register_forward_post_hook(recorder(index))
    return outputs


def encoder_states(model: Layer) -> list[Tensor]:
    """States of `model.ernie` in its last call, float [B, L, H]: of the embeddings and of each layer."""
    return record_outputs([model.ernie.embeddings, *model.ernie.encoder.layers])


def squared_error(student: Tensor, teacher: Tensor, is_real: Tensor | None) -> Tensor:
    """Mean squared error. is_real: float [B, L], 1 at tokens, for values [B, L] or [B, L, C]; None: values per text."""
    error = (student - teacher) ** 2
    if is_real is None:
        return error.mean()
    if error.ndim == 3:
        error = error.mean(-1)
    return (error * is_real).sum() / is_real.sum()
