"""PaddleNLP's form: the ensembles `ernie_seqcls` and `ernie_tokencls` of model_zoo/ernie-3.0/deploy.

What its clients rely on: the model's name and version "1"; the order of the inputs and the names of the outputs in the
model's metadata; BYTES [N, 1] in; `label`, `confidence` and `OUTPUT` of shape [N] out; at most 64 texts a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ernie_runtime.kinds import TensorSpec, get_kind

NAME = "paddlenlp"


@dataclass(frozen=True)
class Form:
    """One of PaddleNLP's ensembles, with the task kinds that can answer it."""

    ensemble: str
    kinds: tuple[str, ...]
    takes: tuple[TensorSpec, ...]  # all outputs: Triton's response cache keeps those that the first request asked for
    gives: tuple[TensorSpec, ...]  # dims as PaddleNLP's configurations say; what comes is [N], see ernie_runtime

    @property
    def step(self) -> str:
        """The model that turns the task's answers into the form."""
        return f"{self.ensemble}_postprocess"


def _strings(name: str) -> tuple[TensorSpec, ...]:
    return (TensorSpec(name, "BYTES", (1,)),)


FORMS: Mapping[str, Form] = {
    form.ensemble: form
    for form in (
        Form(
            "ernie_seqcls",
            ("sequence_classification", "pair_classification"),
            (TensorSpec("LABEL_ID", "INT64", (1,)), TensorSpec("SCORE", "FP32", (1,)), *_strings("RESULT")),
            (TensorSpec("label", "INT64", (1,)), TensorSpec("confidence", "FP32", (1,))),
        ),
        Form("ernie_tokencls", ("token_classification",), _strings("RESULT"), _strings("OUTPUT")),
    )
}
MODELS = tuple(name for form in FORMS.values() for name in (form.ensemble, form.step))


def form_of(kind: str) -> Form | None:
    """The form that a task of this kind can answer; None where PaddleNLP has none."""
    return next((form for form in FORMS.values() if kind in form.kinds), None)


def ensemble_inputs(kind: str) -> dict[str, TensorSpec]:
    """PaddleNLP's name -> the task's input: INPUT, or INPUT_0 and INPUT_1 for pairs."""
    inputs = get_kind(kind).inputs
    return {"INPUT": inputs[0]} if len(inputs) == 1 else {f"INPUT_{i}": spec for i, spec in enumerate(inputs)}
