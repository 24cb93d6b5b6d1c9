"""The model's output -> the answer, request by request."""

from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from standalone import answers_of, load_case


class TritonPythonModel:
    """Triton loads this class."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the case beside this file."""
        case = load_case(Path(__file__).with_name("case.json"))
        self.answers, self.output = answers_of(case), case.output

    def execute(self, requests: list[Any]) -> list[Any]:
        """A response per request."""
        responses = []
        for request in requests:
            values = pb_utils.get_input_tensor_by_name(request, self.output).as_numpy()
            outputs = [pb_utils.Tensor(name, array) for name, array in self.answers.arrays(values).items()]
            responses.append(pb_utils.InferenceResponse(outputs))
        return responses
