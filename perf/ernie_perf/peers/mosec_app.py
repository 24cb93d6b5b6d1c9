"""The mosec server, which takes mosec's own arguments and serves the case that the environment names."""

from __future__ import annotations

from typing import Any

from mosec import Server, Worker

from ernie_perf.peers.servers import BATCH_TEXTS, BATCH_WAIT_MS
from ernie_perf.peers.standalone import PlainModel, load_case


class Model(Worker):  # type: ignore[misc]  # mosec has no types
    """The model, in a process of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.model = PlainModel(load_case())

    def forward(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Answers to a batch."""
        return self.model([request["texts"] for request in data])


if __name__ == "__main__":
    server = Server()
    server.append_worker(Model, num=1, max_batch_size=BATCH_TEXTS, max_wait_time=BATCH_WAIT_MS)
    server.run()
