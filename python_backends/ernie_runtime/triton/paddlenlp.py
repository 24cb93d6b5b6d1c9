"""A task's answers in the form that clients of PaddleNLP's Triton examples read (model_zoo/ernie-3.0/deploy).

Those clients compare `label` with an array of labels and decode the elements of `OUTPUT`, so every output is [N]: with
[N, 1] the comparison would be N x N, and an element would be an array. The examples' own servers answered [N] too,
under a configuration with dims [1] and a batch dimension; Triton passes on the shape that the model returns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import InvalidItem, ManifestError
from ..json_types import Json
from ..names import LABEL_ID, RESULT, SCORE
from ..steps.step import Arrays, Step

FORM_PARAMETER = "form"


def entity_literal(result: Json) -> bytes:
    """The RESULT of an entity task as a list in UTF-8 that json.loads and ast.literal_eval read alike.

    An entity is {"pos": [first, last], "entity", "label"}, with inclusive positions of its characters in the text as
    sent. A text without an answer gives an empty list. Characters are not escaped: JSON escapes one above U+FFFF as a
    pair of surrogates, which Python would read as two characters.
    """
    entities = [
        {"pos": [entity["start"], entity["end"] - 1], "entity": entity["text"], "label": entity["label"]}
        for entity in (() if "error" in result else result["entities"])
    ]
    return json.dumps(entities, ensure_ascii=False).encode()


class LabelStep:
    """LABEL_ID INT64 [N, 1], SCORE FP32 [N, 1] -> label INT64 [N], confidence FP32 [N].

    A text that could not be answered keeps its label -1 and its confidence 0.
    """

    inputs: tuple[str, ...] = (LABEL_ID, SCORE)

    def run(self, requests: Sequence[Arrays]) -> list[dict[str, np.ndarray] | InvalidItem]:
        """The same numbers in the other shape."""
        return [{"label": r[LABEL_ID].reshape(-1), "confidence": r[SCORE].reshape(-1)} for r in requests]


class EntityStep:
    """RESULT BYTES [N, 1] -> OUTPUT BYTES [N], see `entity_literal`."""

    inputs: tuple[str, ...] = (RESULT,)

    def run(self, requests: Sequence[Arrays]) -> list[dict[str, np.ndarray] | InvalidItem]:
        """One list per text."""
        outputs: list[dict[str, np.ndarray] | InvalidItem] = []
        for request in requests:
            rows = request[RESULT].reshape(-1)
            values = np.empty(len(rows), dtype=object)
            values[:] = [entity_literal(json.loads(row)) for row in rows]
            outputs.append({"OUTPUT": values})
        return outputs


STEPS: Mapping[str, type[LabelStep] | type[EntityStep]] = {"ernie_seqcls": LabelStep, "ernie_tokencls": EntityStep}


def load_step(parameters: Mapping[str, str]) -> Step:
    """The step of the form that the model's parameters name; ManifestError where there is none."""
    form = parameters.get(FORM_PARAMETER, "")
    if form not in STEPS:
        raise ManifestError(
            f"parameter {FORM_PARAMETER} is {form!r}, none of {', '.join(STEPS)}: build with --compat paddlenlp again"
        )
    return STEPS[form]()
