"""Texts -> ids, each request tokenized and padded by itself."""

from pathlib import Path

import triton_python_backend_utils as pb_utils
from plain import PlainTokenizer, load


class TritonPythonModel:
    def initialize(self, args):
        case = load(Path(__file__).with_name("case.json"))
        self.inputs, self.tokenizer = case["inputs"], PlainTokenizer(case)

    def execute(self, requests):
        responses = []
        for request in requests:
            columns = [pb_utils.get_input_tensor_by_name(request, name).as_numpy()[:, 0] for name in self.inputs]
            items = [tuple(text.decode("utf-8") for text in item) for item in zip(*columns, strict=True)]
            tensors = self.tokenizer(items)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor(n, a) for n, a in tensors.items()]))
        return responses
