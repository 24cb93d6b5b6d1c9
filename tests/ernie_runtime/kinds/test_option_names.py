"""An option that a kind has not is refused by every kind: a misspelt one would do nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ernie_runtime.errors import ManifestError
from ernie_runtime.kinds import get_kind, kind_names
from ernie_runtime.manifest import Manifest

MakeManifest = Callable[..., Manifest]
LABELS = {"token_classification": ("O", "B-PER", "I-PER"), "ranking": ("0", "1")}
ONE_WINDOW = ("ranking", "token_embedding")
OPTIONS: dict[str, dict[str, Any]] = {
    "embedding": {"dimension": 2},
    "similarity": {"dimension": 2},
    "pair_embedding": {"dimension": 2},
    "token_embedding": {"dimension": 2},
    "intent_slots": {"slots": ["song"]},
    "question_answering": {"max_answer_tokens": 2, "max_question_tokens": 2},
    "fill_mask": {"tokens": "\n" * 8},
}


@pytest.mark.parametrize("kind", kind_names())
def test_options_are_the_kind_s_own(make_manifest: MakeManifest, kind: str) -> None:
    def manifest(**more: Any) -> Manifest:
        labels, overflow = LABELS.get(kind, ("a", "b", "c")), "truncate" if kind in ONE_WINDOW else "window"
        return make_manifest(kind, labels, 24, 4, overflow, options={**OPTIONS.get(kind, {}), **more})

    get_kind(kind).check(manifest())
    with pytest.raises(ManifestError, match=r"task toy: .*option.*colour"):
        get_kind(kind).check(manifest(colour="red"))


def test_the_message(make_manifest: MakeManifest) -> None:
    slots = make_manifest("intent_slots", ("a", "b"), options={"slots": ["song"], "slot_of": {}})
    with pytest.raises(ManifestError, match=r"task toy: options\.slot_of is none of slots, values, slots_of"):
        get_kind("intent_slots").check(slots)
    with pytest.raises(ManifestError, match=r"options\.top is none of pooling"):
        get_kind("sequence_classification").check(make_manifest("sequence_classification", options={"top": 3}))
