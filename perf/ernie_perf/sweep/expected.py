"""The answers that a server must give while it is measured: a fast server with wrong answers fails the run.

There are two checks. perf_analyzer compares bytes (`validation_data`), so it is given only what is the same to the bit:
whole-number outputs (LABEL_ID) of texts whose two best scores are not a tie. All answers that it received are in its
JSON export; afterwards these are compared with the expected RESULT. Scores may differ by a tolerance, because their
last digits depend on how rows are batched.

The first check is for closed loops only: with several asynchronous requests of a worker in flight (`--async`),
perf_analyzer 2.50 compares an answer with what is expected of the text it sent last. Its export pairs them correctly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ernie_builders.repository.served import (
    DYNAMIC,
    DYNAMIC_MAY_DIFFER,
    DYNAMIC_SCORE_TOLERANCE,
    SCORE_TOLERANCE,
    ask_server,
    compare_answers,
)
from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.kinds import TensorSpec, get_kind
from ernie_runtime.manifest import Manifest, Variant
from ernie_runtime.names import RESULT, variant_ensemble
from ernie_runtime.results import alike
from ernie_runtime.steps.pipeline import Pipeline

from ..errors import AnswerError
from .description import CheckedAnswers
from .texts import Item

Outputs = Json
"""The outputs for one text by name, as perf_analyzer's JSON export has them."""


@dataclass(frozen=True, kw_only=True)
class ExpectedAnswers:
    """A variant's answers. Items whose answer depends on how they are batched are in none of the three mappings."""

    inputs: tuple[str, ...]  # names of the ensemble's inputs
    items: tuple[Item, ...]
    results: Mapping[Item, Any]  # RESULT, parsed
    exact: Mapping[Item, Mapping[str, int]]  # whole-number outputs
    numeric: Mapping[Item, Json] = field(default_factory=dict)  # outputs that are floats
    tolerance: float = SCORE_TOLERANCE
    allowed: float = 0.0  # share of the answers that may be wrong

    def is_wrong(self, item: Item, outputs: Outputs) -> bool:
        """Whether the outputs are not the expected answer; False for an item that has none."""
        if item not in self.results:
            return False
        try:
            result = json.loads(outputs[RESULT])
        except (KeyError, TypeError, ValueError):
            return True
        pairs = [(_without_candidates(self.results[item]), _without_candidates(result))]
        pairs += [(value, outputs.get(name)) for name, value in self.exact.get(item, {}).items()]
        pairs += [(value, outputs.get(name)) for name, value in self.numeric.get(item, {}).items()]
        return not all(alike(expected, received, self.tolerance) for expected, received in pairs)

    def too_many_wrong(self, wrong: int, checked: int) -> bool:
        """Whether a measurement with so many wrong answers among those checked fails."""
        return wrong > self.allowed * max(1, checked)

    def describe(self) -> CheckedAnswers:
        """For run.json."""
        return CheckedAnswers(
            texts_checked=len(self.results),
            tolerance=self.tolerance,
            may_differ=self.allowed,
            in_perf_analyzer=sorted({name for outputs in self.exact.values() for name in outputs}),
        )


def expected_answers(address: str, pipeline: Pipeline, variant: Variant, items: Sequence[Item]) -> ExpectedAnswers:
    """Ask the running server about every item and compare with the pipeline in this process.

    address: HOST:PORT of gRPC. Errors: AnswerError where the two do not agree.
    """
    manifest, is_dynamic = pipeline.manifest, variant.made.get("precision") in DYNAMIC
    model = variant_ensemble(manifest.task, variant.name)
    offline = pipeline.predict(items)
    served = ask_server(address, model, manifest, items)
    verdict = compare_answers([a if isinstance(a, str) else a.result for a in offline], served, is_dynamic)
    if not verdict.passed:
        raise AnswerError(f"{model}: {verdict.reason}; is it the same repository?")
    kind = get_kind(manifest.kind)
    outputs = kind.numeric_outputs(manifest)
    tolerance = DYNAMIC_SCORE_TOLERANCE if is_dynamic else SCORE_TOLERANCE
    results: dict[Item, Any] = {}
    exact: dict[Item, dict[str, int]] = {}
    numeric: dict[Item, JsonObject] = {}
    for item, answer, result in zip(items, offline, served, strict=True):
        if isinstance(answer, str) or _is_tie(result, 2 * tolerance):
            continue
        if not alike(_without_candidates(answer.result), _without_candidates(result), tolerance):
            continue
        results[item] = result
        numeric[item] = {o.name: np.asarray(answer.numeric[o.name]).tolist() for o in outputs if not _is_whole(o)}
        if not is_dynamic:
            exact[item] = {o.name: int(answer.numeric[o.name]) for o in outputs if _is_whole(o)}
    return ExpectedAnswers(
        inputs=tuple(spec.name for spec in kind.inputs),
        items=tuple(items),
        results=results,
        exact=exact,
        numeric=numeric,
        tolerance=tolerance,
        allowed=DYNAMIC_MAY_DIFFER if is_dynamic else 0.0,
    )


def write_input_data(expected: ExpectedAnswers, path: Path, validate: bool = True) -> None:
    """Write perf_analyzer's `--input-data`: one item a step, each input BYTES [1], and what it is to compare."""
    rows = [{name: [text] for name, text in zip(expected.inputs, item, strict=True)} for item in expected.items]
    document: JsonObject = {"data": rows}
    checks = [{name: [value] for name, value in expected.exact.get(item, {}).items()} for item in expected.items]
    if validate and any(checks):
        document["validation_data"] = checks
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def check_manifest(local: Manifest, remote: str, model: str) -> None:
    """The server's manifest of a model (JSON) must be the repository's. Errors: AnswerError."""
    served = Manifest.from_json(remote, f"{model} of the server")
    if (served.version, served.variants) != (local.version, local.variants):
        raise AnswerError(
            f"{model}: the server has version {served.version}, the repository version {local.version}, or they were "
            "built differently: give --repository as it is served"
        )


def _is_whole(spec: TensorSpec) -> bool:
    return spec.dtype.startswith(("INT", "UINT")) and spec.dims == (1,)


def _without_candidates(result: Any) -> Any:
    """RESULT without `top`: candidates with equal scores may be in either order."""
    return {k: v for k, v in result.items() if k != "top"} if isinstance(result, Mapping) else result


def _is_tie(result: Any, margin: float) -> bool:
    top: Any = result.get("top", ()) if isinstance(result, Mapping) else ()
    return len(top) > 1 and bool(top[0]["score"] - top[1]["score"] <= margin)
