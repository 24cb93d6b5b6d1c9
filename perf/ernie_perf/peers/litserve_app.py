"""The LitServe server: `python -m ernie_perf.peers.litserve_app PORT` serves the case that the environment names."""

import sys
from typing import Any

import litserve

from ernie_perf.peers.servers import BATCH_TEXTS, BATCH_WAIT_MS
from ernie_perf.peers.standalone import PlainModel, load_case


class Api(litserve.LitAPI):  # type: ignore[misc]  # LitServe has no types
    """Texts of a batch are a list from `batch` to `unbatch`."""

    def setup(self, device: str) -> None:
        """In the worker's process."""
        del device
        self.model = PlainModel(load_case())

    # LitServe takes an annotation for the body's schema.
    def decode_request(self, request):  # type: ignore[no-untyped-def]
        """One item of the JSON body."""
        texts: list[str] = request["texts"]
        return texts

    def batch(self, inputs: list[list[str]]) -> list[list[str]]:
        """As they are; LitServe would stack tensors."""
        return inputs

    def predict(self, items: list[list[str]]) -> list[dict[str, Any]]:
        """Answers to a batch."""
        return self.model(items)

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """As they are."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Already JSON."""
        return output


if __name__ == "__main__":
    api = Api(max_batch_size=BATCH_TEXTS, batch_timeout=BATCH_WAIT_MS / 1000)
    server = litserve.LitServer(api, accelerator="cpu", timeout=60)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
