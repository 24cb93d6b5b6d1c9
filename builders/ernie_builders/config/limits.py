"""Lengths of windows where a tasks file leaves them out: what most texts of the kind need."""

from __future__ import annotations

from ernie_runtime.json_types import JsonObject

LENGTH, WITH_CONTEXT = 128, 256  # tokens of a window; of one that has a question and its text
PAIRED = ("pair_classification", "ranking")
CUT = (*PAIRED, "token_embedding")  # kinds that read one window of a text


def stride_of(kind: str, max_length: int) -> int:
    """The distance between the starts of two windows: less where another text takes its share of each."""
    return max_length * 3 // (8 if kind in ("question_answering", *PAIRED) else 4)


def with_defaults(kind: str, given: object) -> object:
    """The table `limits` with what it leaves out, by the kind; as it is where it is no table."""
    if not isinstance(given, dict):
        return given
    limits: JsonObject = {"max_length": WITH_CONTEXT if kind == "question_answering" else LENGTH, **given}
    if type(limits["max_length"]) is int:
        limits = {"doc_stride": stride_of(kind, limits["max_length"]), **limits}
    return {**({"overflow": "truncate"} if kind in CUT else {}), **limits}
