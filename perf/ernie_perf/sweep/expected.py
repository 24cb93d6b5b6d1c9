"""The answers a server must give while it is measured: a fast wrong server fails the run.

Two checks. perf_analyzer compares bytes (`validation_data`), so it is given what must not change by a bit: whole-number
outputs (LABEL_ID), of texts whose two best scores are not a tie. Every answer it received is in its JSON export; those
are compared afterwards with the expected RESULT, all of it, scores within a tolerance: how rows are batched changes
the last digits of a score.

The first check is of closed loops only: with several requests of a worker under way at once (`--async`), perf_analyzer
2.50 compares an answer with what is expected of the text it sent last. Its export pairs them rightly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ernie_builders.repository.served import BY_CALL, PART_BY_CALL, SCORE, SCORE_BY_CALL, alike, ask, compare
from ernie_runtime.kinds import TensorSpec, get_kind
from ernie_runtime.manifest import Manifest, Variant
from ernie_runtime.names import variant_ensemble
from ernie_runtime.steps.pipeline import Pipeline

from ..errors import AnswerError

Item = tuple[str, ...]


@dataclass(frozen=True)
class Expected:
    """What a variant answers. `results`: RESULT of each text; `exact`: its whole-number outputs; texts whose answer
    hangs on how they are batched have neither."""

    inputs: tuple[str, ...]
    items: tuple[Item, ...]
    results: Mapping[Item, Any]
    exact: Mapping[Item, Mapping[str, int]]
    numeric: Mapping[Item, Mapping[str, Any]] = field(default_factory=dict)  # outputs that are floats
    tolerance: float = SCORE
    allowed: float = 0.0  # part of the answers that may differ

    def wrong(self, item: Item, outputs: Mapping[str, Any]) -> bool:
        """Whether the outputs (as perf_analyzer exports them) are not the expected answer to the text."""
        if item not in self.results:
            return False
        try:
            result = json.loads(outputs["RESULT"])
        except (KeyError, TypeError, ValueError):
            return True
        pairs = [(_without_ties(self.results[item]), _without_ties(result))]
        pairs += [(value, outputs.get(name)) for name, value in self.exact.get(item, {}).items()]
        pairs += [(value, outputs.get(name)) for name, value in self.numeric.get(item, {}).items()]
        return not all(alike(ours, theirs, self.tolerance) for ours, theirs in pairs)

    def describe(self) -> dict[str, Any]:
        """For run.json: what is checked."""
        return {
            "texts_checked": len(self.results),
            "tolerance": self.tolerance,
            "may_differ": self.allowed,
            "in_perf_analyzer": sorted({name for outputs in self.exact.values() for name in outputs}),
        }


def expected_answers(address: str, pipeline: Pipeline, variant: Variant, items: Sequence[Item]) -> Expected:
    """Ask the running server once, compare with the pipeline in this process; these are the expected answers.

    address: of gRPC. Errors: AnswerError where the two do not agree.
    """
    manifest, by_call = pipeline.manifest, variant.made.get("precision") in BY_CALL
    offline = pipeline.predict(items)
    served = ask(address, variant_ensemble(manifest.task, variant.name), manifest, items)
    plain = [answer if isinstance(answer, str) else answer.result for answer in offline]
    verdict = compare(plain, served, by_call)
    if not verdict.passed:
        raise AnswerError(f"{manifest.task}_{variant.name}: {verdict.reason}; is it the same repository?")
    specs = get_kind(manifest.kind).numeric_outputs(manifest)
    tolerance = SCORE_BY_CALL if by_call else SCORE
    results: dict[Item, Any] = {}
    exact: dict[Item, dict[str, int]] = {}
    numeric: dict[Item, dict[str, Any]] = {}
    for item, ours, theirs in zip(items, offline, served, strict=True):
        if isinstance(ours, str) or _is_tie(theirs, 2 * tolerance):
            continue
        if not alike(_without_ties(ours.result), _without_ties(theirs), tolerance):
            continue
        results[item] = theirs
        numeric[item] = {s.name: np.asarray(ours.numeric[s.name]).tolist() for s in specs if not _is_whole(s)}
        if not by_call:
            exact[item] = {s.name: int(ours.numeric[s.name]) for s in specs if _is_whole(s)}
    names = tuple(spec.name for spec in get_kind(manifest.kind).inputs)
    return Expected(names, tuple(items), results, exact, numeric, tolerance, PART_BY_CALL if by_call else 0.0)


def write_input_data(expected: Expected, target: Path, validate: bool = True) -> None:
    """perf_analyzer's `--input-data`: one text a step, BYTES [1] an input, and what it is to check of each."""
    rows = [{name: [text] for name, text in zip(expected.inputs, item, strict=True)} for item in expected.items]
    document: dict[str, Any] = {"data": rows}
    checks = [{name: [value] for name, value in expected.exact.get(item, {}).items()} for item in expected.items]
    if validate and any(checks):
        document["validation_data"] = checks
    target.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def check_manifest(local: Manifest, remote: str, model: str) -> None:
    """The server's manifest of a model, as JSON, is the repository's. Errors: AnswerError."""
    theirs = Manifest.from_json(remote, f"{model} of the server")
    if (theirs.version, theirs.variants) != (local.version, local.variants):
        raise AnswerError(
            f"{model}: the server has version {theirs.version}, the repository version {local.version}, or they were "
            "built differently: give --repository as it is served"
        )


def _is_whole(spec: TensorSpec) -> bool:
    return spec.dtype.startswith(("INT", "UINT")) and spec.dims == (1,)


def _without_ties(result: Any) -> Any:
    """Ties of equal scores may stand in either order further down a list of candidates."""
    return {k: v for k, v in result.items() if k != "top"} if isinstance(result, Mapping) else result


def _is_tie(result: Any, margin: float) -> bool:
    top: Any = result.get("top", ()) if isinstance(result, Mapping) else ()
    return len(top) > 1 and top[0]["score"] - top[1]["score"] <= margin
