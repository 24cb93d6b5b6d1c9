"""The mosec server, which takes mosec's own arguments and serves the case that the environment names."""

from __future__ import annotations

from typing import Any

from mosec import Server, Worker

from perf.peers.mosec_peer import BATCH, WAIT
from perf.peers.plain import PlainClassifier, load


class Classifier(Worker):
    """Lives in a process of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = PlainClassifier(load())

    def forward(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Answers to a batch."""
        return self.classifier([request["texts"] for request in data])


if __name__ == "__main__":
    server = Server()
    server.append_worker(Classifier, num=1, max_batch_size=BATCH, max_wait_time=WAIT)
    server.run()
