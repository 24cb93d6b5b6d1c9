"""Texts -> ids, each request tokenized and padded by itself."""

from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from standalone import PlainTokenizer, load_case


class TritonPythonModel:
    """Triton loads this class."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the case beside this file."""
        case = load_case(Path(__file__).with_name("case.json"))
        self.inputs, self.tokenizer = case.inputs, PlainTokenizer(case)

    def execute(self, requests: list[Any]) -> list[Any]:
        """A response per request."""
        responses = []
        for request in requests:
            columns = [pb_utils.get_input_tensor_by_name(request, name).as_numpy()[:, 0] for name in self.inputs]
            items = [tuple(text.decode("utf-8") for text in item) for item in zip(*columns, strict=True)]
            tensors = self.tokenizer(items)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor(n, a) for n, a in tensors.items()]))
        return responses
