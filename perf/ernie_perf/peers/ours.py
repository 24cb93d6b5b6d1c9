"""This project's own: the published ensemble, and the task in one process where it was built with --fused."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ernie_runtime.errors import ManifestError
from ernie_runtime.names import encoder_model, fused_model, postprocess_model, tokenizer_model, variant_ensemble
from ernie_runtime.repository import task_manifest

from ..errors import PeerError
from .answers import Answer, answers_of
from .case import Case, Item
from .triton import TritonPeer


class OurEnsemble(TritonPeer):
    """TASK_VARIANT: three models, ragged micro-batches."""

    name = "ensemble"
    what = "this project's ensemble: ragged micro-batches, three processes"

    def __init__(self, repository: Path) -> None:
        super().__init__()
        self.repository = repository

    def start(self, case: Case, port: int, example: Item) -> str:
        """The published repository as it is."""
        self.answers = answers_of(asdict(case))
        self.outputs = (self.answers.published,)
        return self.serve(self.repository, self.models(case), case, port, example)

    def models(self, case: Case) -> tuple[str, ...]:
        """Steps and ensemble."""
        task = case.task
        steps = (tokenizer_model(task), encoder_model(task, case.variant), postprocess_model(task))
        return (*steps, variant_ensemble(task, case.variant))

    def answer(self, body: bytes) -> Answer:
        """From the one output that was asked for."""
        return self.answers.from_published(self.values(body)[self.answers.published])


class OurFused(OurEnsemble):
    """TASK_fused: one process."""

    name = "fused"
    what = "this project's TASK_fused: the same in one process"

    def models(self, case: Case) -> tuple[str, ...]:
        """PeerError where it is not published, or runs another variant."""
        model = fused_model(case.task)
        if not (self.repository / model).is_dir():
            raise PeerError(f"{model} is not published: build the task with --fused")
        try:
            recommended = task_manifest(self.repository, case.task).recommended
        except ManifestError as error:
            raise PeerError(str(error)) from None
        if recommended != case.variant:
            raise PeerError(f"{model} runs variant {recommended}, the others {case.variant}")
        return (model,)
