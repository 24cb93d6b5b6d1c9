"""config.pbtxt of a compat ensemble and of the step that turns a task's answers into its form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ernie_runtime.kinds import TensorSpec
from ernie_runtime.triton.paddlenlp import FORM_PARAMETER

from ..repository.model_config import pb
from .paddlenlp import Form, ensemble_inputs

BACKEND = "ernie_compat"
MAX_TEXTS = 64
"""In one request, as PaddleNLP's configurations say."""


def configs(form: Form, task: str, kind: str) -> dict[str, pb.ModelConfig]:
    """Model name -> configuration, in the order of publishing: the step, then the ensemble."""
    inputs = ensemble_inputs(kind)
    step = pb.ModelConfig(name=form.step, backend=BACKEND, max_batch_size=MAX_TEXTS)
    step.dynamic_batching.SetInParent()
    _tensors(step.input, form.takes)
    _tensors(step.output, form.gives)
    step.parameters[FORM_PARAMETER].string_value = form.ensemble
    step.instance_group.add(kind=pb.ModelInstanceGroup.KIND_CPU, count=1)
    ensemble = pb.ModelConfig(name=form.ensemble, platform="ensemble", max_batch_size=MAX_TEXTS)
    _tensors(ensemble.input, [TensorSpec(name, spec.dtype, spec.dims) for name, spec in inputs.items()])
    _tensors(ensemble.output, form.gives)
    _step(ensemble, task, {spec.name: name for name, spec in inputs.items()}, form.takes)
    _step(ensemble, step.name, {spec.name: spec.name for spec in form.takes}, form.gives)
    return {step.name: step, ensemble.name: ensemble}


def _tensors(field: Any, specs: Sequence[TensorSpec]) -> None:
    for spec in specs:
        data_type = "TYPE_STRING" if spec.dtype == "BYTES" else f"TYPE_{spec.dtype}"
        field.add(name=spec.name, data_type=pb.DataType.Value(data_type), dims=spec.dims)


def _step(config: pb.ModelConfig, model: str, inputs: Mapping[str, str], outputs: Sequence[TensorSpec]) -> None:
    step = config.ensemble_scheduling.step.add(model_name=model, model_version=-1)
    step.input_map.update(inputs)
    step.output_map.update({spec.name: spec.name for spec in outputs})
