"""PaddleNLP's ensembles `ernie_seqcls` and `ernie_tokencls` (model_zoo/ernie-3.0/deploy), and their configurations.

Their clients rely on: the model's name and version "1"; the order of the inputs and the names of the outputs in the
model's metadata; BYTES [N, 1] in; `label`, `confidence` and `OUTPUT` of shape [N] out; at most 64 texts a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime import names
from ernie_runtime.kinds import TensorSpec, get_kind
from ernie_runtime.triton.paddlenlp import FORM_PARAMETER

from ..repository.model_config import RESULT, add_step, add_tensors

NAME = "paddlenlp"
BACKEND = "ernie_compat"
MAX_TEXTS = 64  # in one request, as in PaddleNLP's configurations


@dataclass(frozen=True, kw_only=True)
class Form:
    """One of PaddleNLP's ensembles, and the task kinds that can answer it."""

    ensemble: str
    kinds: tuple[str, ...]
    takes: tuple[TensorSpec, ...]  # all outputs of the task: Triton's response cache keeps those of the first request
    gives: tuple[TensorSpec, ...]  # dims as in PaddleNLP's configurations; what is sent is [N], see ernie_runtime

    @property
    def step(self) -> str:
        """Name of the model that turns the task's answers into this form."""
        return f"{self.ensemble}_postprocess"


FORMS: Mapping[str, Form] = {
    form.ensemble: form
    for form in (
        Form(
            ensemble="ernie_seqcls",
            kinds=("sequence_classification", "pair_classification"),
            takes=(TensorSpec(names.LABEL_ID, "INT64", (1,)), TensorSpec(names.SCORE, "FP32", (1,)), RESULT),
            gives=(TensorSpec("label", "INT64", (1,)), TensorSpec("confidence", "FP32", (1,))),
        ),
        Form(
            ensemble="ernie_tokencls",
            kinds=("token_classification",),
            takes=(RESULT,),
            gives=(TensorSpec("OUTPUT", "BYTES", (1,)),),
        ),
    )
}
MODELS = tuple(name for form in FORMS.values() for name in (form.ensemble, form.step))


def form_of(kind: str) -> Form | None:
    """The form that a task of this kind can answer; None if PaddleNLP has none."""
    return next((form for form in FORMS.values() if kind in form.kinds), None)


def ensemble_inputs(kind: str) -> dict[str, TensorSpec]:
    """PaddleNLP's name -> the task's input: INPUT, or INPUT_0 and INPUT_1 for pairs."""
    inputs = get_kind(kind).inputs
    return {"INPUT": inputs[0]} if len(inputs) == 1 else {f"INPUT_{i}": spec for i, spec in enumerate(inputs)}


def configs(form: Form, task: str, kind: str) -> dict[str, pb.ModelConfig]:
    """Model name -> configuration, in the order of publishing: first the step that converts answers, then the ensemble.

    task, kind: of the task that answers; its ensemble is the first step.
    """
    inputs = ensemble_inputs(kind)
    step = pb.ModelConfig(name=form.step, backend=BACKEND, max_batch_size=MAX_TEXTS)
    step.dynamic_batching.SetInParent()
    add_tensors(step.input, form.takes)
    add_tensors(step.output, form.gives)
    step.parameters[FORM_PARAMETER].string_value = form.ensemble
    step.instance_group.add(kind=pb.ModelInstanceGroup.KIND_CPU, count=1)
    ensemble = pb.ModelConfig(name=form.ensemble, platform="ensemble", max_batch_size=MAX_TEXTS)
    add_tensors(ensemble.input, [TensorSpec(name, spec.dtype, spec.dims) for name, spec in inputs.items()])
    add_tensors(ensemble.output, form.gives)
    add_step(ensemble, task, {spec.name: name for name, spec in inputs.items()}, form.takes)
    add_step(ensemble, step.name, {spec.name: spec.name for spec in form.takes}, form.gives)
    return {step.name: step, ensemble.name: ensemble}
