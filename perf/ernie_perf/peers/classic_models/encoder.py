"""Ids -> the model's output: the requests of a dynamic batch have one shape, so that they stack as they are."""

from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from standalone import PlainEncoder, load_case

NAMES = ("input_ids", "token_type_ids")


class TritonPythonModel:
    """Triton loads this class."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the case beside this file."""
        case = load_case(Path(__file__).with_name("case.json"))
        self.encoder, self.output = PlainEncoder(case), case.output

    def execute(self, requests: list[Any]) -> list[Any]:
        """A response per request."""
        columns = {n: [pb_utils.get_input_tensor_by_name(r, n).as_numpy() for r in requests] for n in NAMES}
        values = self.encoder({name: np.concatenate(arrays) for name, arrays in columns.items()})
        ends = np.cumsum([len(array) for array in columns[NAMES[0]]])[:-1]
        return [pb_utils.InferenceResponse([pb_utils.Tensor(self.output, part)]) for part in np.split(values, ends)]
