"""The intent and the slots that it can have are chosen together."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from ernie_runtime.kinds.intent_slots import allowed_tags, choose_intent
from ernie_runtime.text.bio import TagSet

from ..utterances import INTENTS, KIND, SLOTS, MakeManifest, answer, rows_of

SLOTS_OF = {"OTHERS": [], "music.play": ["song", "singer"]}  # a phone_call may have any


@pytest.mark.parametrize(
    ("tags", "sure", "intents", "expected"),
    [
        ("O B-song I-song", 0.9, [0.3, 0.6, 0.1], ("play music", ["song"])),  # they agree
        ("O B-song I-song", 0.9, [0.6, 0.3, 0.1], ("play music", ["song"])),  # surer of the song than of OTHERS
        ("O B-song I-song", 0.3, [0.98, 0.01, 0.01], ("OTHERS", [])),  # and less sure
        ("O B-phone_num I-phone_num", 0.9, [0.3, 0.6, 0.1], ("phone_call", ["phone_num"])),
        ("O B-phone_num I-phone_num", 0.9, [0.2, 0.2, 0.6], ("phone_call", ["phone_num"])),
        ("O B-song O", 0.9, [0.3, 0.3, 0.4], ("phone_call", ["song"])),
        ("O O O", 0.9, [0.2, 0.5, 0.3], ("play music", [])),  # an intent needs no slots
        ("B-song B-phone_num O", 0.9, [0.2, 0.7, 0.1], ("phone_call", ["song", "phone_num"])),
    ],
)
def test_intent_and_slots_fit_each_other(
    make_manifest: MakeManifest, tags: str, sure: float, intents: list[float], expected: tuple[str, list[str]]
) -> None:
    manifest = make_manifest(KIND.name, INTENTS, 8, 3, options={"slots": SLOTS, "slots_of": SLOTS_OF})
    KIND.check(manifest)
    decoded = answer(manifest, "字字字", rows_of(tags, sure), np.log(intents))
    assert (decoded.result["intent"], [slot["slot"] for slot in decoded.result["slots"]]) == expected
    assert decoded.numeric["SCORE"] == pytest.approx(intents[decoded.numeric["LABEL_ID"]], abs=1e-6)
    assert decoded.result["score"] == pytest.approx(decoded.numeric["SCORE"], abs=1e-6)


def test_the_choice_against_brute_force(make_manifest: MakeManifest) -> None:
    """All pairs of an intent and a legal path that it can have."""
    manifest = make_manifest(
        KIND.name, INTENTS, options={"slots": ["song", "singer"], "slots_of": {"OTHERS": ["song"], "music.play": []}}
    )
    tags = TagSet.of_types(["song", "singer"])
    allowed = allowed_tags(tags, manifest)
    assert allowed.tolist() == [[True] * 3 + [False] * 2, [True] + [False] * 4, [True] * 5]
    rng, joined, changed = np.random.default_rng(2), np.zeros(3, bool), 0
    for _ in range(200):
        scores = np.log(rng.dirichlet(np.full(5, 0.4), 3) + 1e-6)
        intent = rng.dirichlet(np.ones(3))
        best, path = choose_intent(intent, tags, allowed, scores, joined)
        pairs = [
            (np.log(intent[i]) + scores[range(3), p].sum(), i, p)
            for i in range(3)
            for p in product(range(5), repeat=3)
            if allowed[i, list(p)].all() and tags.starts[p[0]] and tags.follows[p[:-1], p[1:]].all()
        ]
        assert (best, tuple(path.tolist())) == max(pairs)[1:]
        changed += best != int(np.argmax(intent))
    assert changed > 20


def test_ties_of_pairs_go_to_the_first_intent(make_manifest: MakeManifest) -> None:
    manifest = make_manifest(KIND.name, ("a", "b", "c", "d"), options={"slots": ["x"], "slots_of": {"a": [], "d": []}})
    tags = TagSet.of_types(["x"])
    scores = np.log(np.array([[0.1, 0.8, 0.1]]))
    best, path = choose_intent(
        np.array([0.4, 0.2, 0.2, 0.2]), tags, allowed_tags(tags, manifest), scores, np.zeros(1, bool)
    )
    assert (best, path.tolist()) == (1, [1])
