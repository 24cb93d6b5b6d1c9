"""Train a smaller model to do as a larger one: its embeddings, its hidden states, its outputs, and the labels.

Source: DynaBERT (Hou et al. 2020): soft targets and a mean squared error of embeddings and hidden states; outputs are
matched by their squared error too (Ba and Caruana 2014), which serves every kind of head alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ernie_runtime.kinds import get_kind

from ..checkpoints.checkpoint import Checkpoint
from ..compression.qat import make_quantized
from ..modeling.model import build_model
from ..modeling.width import layers_kept
from .trainer import Job, Trainer

HARD, SOFT, HIDDEN = 0.5, 1.0, 0.1  # weights of the labels' loss, of the outputs' and of the states' error


class Distiller(Trainer):
    """Fine-tunes a student with a teacher of the same task and hidden size; its layers may be fewer or narrower.

    eight_bits: the student rounds as 8-bit kernels do.
    """

    all_tokens = True

    def __init__(self, teacher: Checkpoint, job: Job, eight_bits: bool = False) -> None:
        super().__init__(job)
        if eight_bits:
            make_quantized(self.model)
        with self.paddle.utils.unique_name.guard("teacher_"):
            self.teacher = build_model(self.kind, teacher, job.manifest, ready=True)
        self.teacher.eval()
        self.specs = get_kind(job.manifest.kind).encoder_outputs(job.manifest)
        self._hidden = {"student": _watched(self.model), "teacher": _watched(self.teacher)}

    def _loss(self, outputs: Mapping[str, Any], targets: Mapping[str, Any], ids: Any, types: Any) -> Any:
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


def matched(teacher: Sequence[Any], count: int) -> list[Any]:
    """The teacher's embeddings, and of its layers' states those that `count - 1` layers of a student stand for."""
    embeddings, *layers = teacher
    return [embeddings, *(layers[i] for i in layers_kept(len(layers), count - 1))]


def _watched(model: Any) -> list[Any]:
    """What the embeddings and each layer of the encoder gave in the last call, float [B, L, H]."""
    layers = [model.ernie.embeddings, *model.ernie.encoder.layers]
    seen: list[Any] = [None] * len(layers)

    def keep(place: int) -> Any:
        def hook(_layer: Any, _inputs: Any, output: Any) -> None:
            seen[place] = output[0] if isinstance(output, tuple) else output

        return hook

    for place, layer in enumerate(layers):
        layer.register_forward_post_hook(keep(place))
    return seen


def squared_error(ours: Any, theirs: Any, real: Any) -> Any:
    """Mean squared error; real: float [B, L], the tokens that count in [B, L] or [B, L, C]; None: values of texts."""
    error = (ours - theirs) ** 2
    if real is None:
        return error.mean()
    if error.ndim == 3:
        error = error.mean(-1)
    return (error * real).sum() / real.sum()
