"""Peers behind the pip server's Triton: requests and answers in its JSON, and this project's own models."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ernie_runtime.names import variant_ensemble
from ernie_serve.options import ServerOptions
from ernie_serve.problems import ServeError
from ernie_serve.server import TritonServer

from ..errors import PeerError
from .base import HttpPeer, free_port
from .standalone import Answer, Case, Item, answers_of


class TritonPeer(HttpPeer):
    """A model of a Triton server over HTTP; subclasses set `outputs`, and call `serve`."""

    outputs: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.inputs: tuple[str, ...] = ()
        self._stack = ExitStack()

    def serve(self, repository: Path, models: tuple[str, ...], case: Case, port: int, example: Item) -> str:
        """Start a server with these models, the last of which is asked; the address."""
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix=f"peer-{self.name}-"))
        options = ServerOptions(
            repository=repository,
            http_port=port,
            grpc_port=free_port(),
            metrics_port=free_port(),
            log_file=Path(folder, "triton.log"),
            extra=("--model-control-mode=explicit", *(f"--load-model={name}" for name in models)),
            bounded=False,
        )
        try:
            server = self._stack.enter_context(TritonServer(options))
        except ServeError as error:
            self.stop()
            raise PeerError(f"{self.name}: {error}") from None
        self.address, self.path, self.inputs = server.http_address, f"/v2/models/{models[-1]}/infer", case.inputs
        self.run([example], 1)
        return self.address

    def body(self, item: Item) -> bytes:
        """One text per input; only `outputs` are requested."""
        inputs = [
            {"name": name, "shape": [1, 1], "datatype": "BYTES", "data": [text]}
            for name, text in zip(self.inputs, item, strict=True)
        ]
        outputs = [{"name": name} for name in self.outputs]
        return json.dumps({"inputs": inputs, "outputs": outputs}, ensure_ascii=False).encode()

    def values(self, body: bytes) -> dict[str, list[Any]]:
        """The elements of each output."""
        return {output["name"]: output["data"] for output in json.loads(body)["outputs"]}

    def stop(self) -> None:
        """End the server and remove its files."""
        self._stack.close()


class ServedPeer(TritonPeer):
    """This project's published TASK_VARIANT as `serve` serves it."""

    name = "served"
    description = "this project's TASK_VARIANT as `serve` serves it: one process, ragged micro-batches"

    def __init__(self, repository: Path) -> None:
        super().__init__()
        self.repository = repository

    def start(self, case: Case, port: int, example: Item) -> str:
        """Serve the published repository as it is."""
        self.answers = answers_of(case)
        self.outputs = (self.answers.published,)
        return self.serve(self.repository, (variant_ensemble(case.task, case.variant),), case, port, example)

    def answer(self, body: bytes) -> Answer:
        """From the one output that was requested."""
        return self.answers.from_published(self.values(body)[self.answers.published])
