"""Logits -> label and confidence, request by request."""

from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from plain import best, load


class TritonPythonModel:
    def initialize(self, args):
        self.labels = load(Path(__file__).with_name("case.json"))["labels"]

    def execute(self, requests):
        responses = []
        for request in requests:
            found = best(pb_utils.get_input_tensor_by_name(request, "logits").as_numpy(), self.labels)
            label = np.array([[answer["label"].encode("utf-8")] for answer in found], dtype=object)
            confidence = np.array([[answer["score"]] for answer in found], np.float32)
            outputs = [pb_utils.Tensor("label", label), pb_utils.Tensor("confidence", confidence)]
            responses.append(pb_utils.InferenceResponse(outputs))
        return responses
