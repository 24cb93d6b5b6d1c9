"""This project's own: the published ensemble, and the task in one process where it was built with --fused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ernie_runtime.errors import ManifestError
from ernie_runtime.repository import task_manifest

from .case import Case, Item
from .errors import PeerError
from .triton import TritonPeer


class OurEnsemble(TritonPeer):
    """TASK_VARIANT: three models, ragged micro-batches."""

    name = "ensemble"
    what = "this project's ensemble: ragged micro-batches, three processes"
    outputs = ("RESULT",)

    def __init__(self, repository: Path) -> None:
        super().__init__()
        self.repository = repository

    def start(self, case: Case, port: int, example: Item) -> str:
        """The published repository as it is."""
        return self.serve(self.repository, self.models(case), case, port, example)

    def models(self, case: Case) -> tuple[str, ...]:
        """Steps and ensemble."""
        task = case.task
        steps = (f"{task}_tokenizer", f"{task}_encoder_{case.variant}", f"{task}_postprocess")
        return (*steps, f"{task}_{case.variant}")

    def answer(self, body: bytes) -> dict[str, Any]:
        """RESULT is JSON itself."""
        found: dict[str, Any] = json.loads(self.values(body)["RESULT"])
        return found


class OurFused(OurEnsemble):
    """TASK_fused: one process."""

    name = "fused"
    what = "this project's TASK_fused: the same in one process"

    def models(self, case: Case) -> tuple[str, ...]:
        """PeerError where it is not published, or runs another variant."""
        model = f"{case.task}_fused"
        if not (self.repository / model).is_dir():
            raise PeerError(f"{model} is not published: build the task with --fused")
        try:
            recommended = task_manifest(self.repository, case.task).recommended
        except ManifestError as error:
            raise PeerError(str(error)) from None
        if recommended != case.variant:
            raise PeerError(f"{model} runs variant {recommended}, the others {case.variant}")
        return (model,)
