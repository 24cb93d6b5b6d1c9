"""What is checked of the answers while the server is measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ernie_perf.sweep.expected import ExpectedAnswers, write_input_data

ITEMS = (("问题", "答"), ("另一个", 'b\n"c"'))
RESULT = {"label": "a", "score": 0.8, "top": [{"label": "a", "score": 0.8}, {"label": "b", "score": 0.2}]}


def expected(**changes: Any) -> ExpectedAnswers:
    """Of two texts; the second is not checked."""
    fields: dict[str, Any] = {"results": {ITEMS[0]: RESULT}, "exact": {ITEMS[0]: {"LABEL_ID": 3}}}
    fields |= {"numeric": {ITEMS[0]: {"SCORE": 0.8}}, **changes}
    return ExpectedAnswers(inputs=("QUESTION", "CONTEXT"), items=ITEMS, **fields)


def outputs(result: Any = RESULT, label: int = 3, score: float = 0.8) -> dict[str, Any]:
    """As perf_analyzer exports them."""
    return {"RESULT": json.dumps(result), "LABEL_ID": label, "SCORE": score}


def test_input_data_holds_every_input_and_what_must_not_change(tmp_path: Path) -> None:
    """A step a text; validation_data has as many steps, empty where nothing is exact."""
    write_input_data(expected(), tmp_path / "data.json")
    data = json.loads((tmp_path / "data.json").read_text(encoding="utf-8"))
    assert data["data"] == [{"QUESTION": [question], "CONTEXT": [context]} for question, context in ITEMS]
    assert data["validation_data"] == [{"LABEL_ID": [3]}, {}]


def test_no_validation_data_for_open_loops_and_kinds_without_whole_numbers(tmp_path: Path) -> None:
    """perf_analyzer would compare with another text's answer; or there is nothing it could compare."""
    write_input_data(expected(), tmp_path / "open.json", validate=False)
    write_input_data(expected(exact={}), tmp_path / "spans.json")
    for name in ("open.json", "spans.json"):
        assert set(json.loads((tmp_path / name).read_text(encoding="utf-8"))) == {"data"}


def test_scores_may_differ_in_their_last_digits_and_nothing_else() -> None:
    """A label, a missing answer, a wrong number: wrong. Order among ties far down `top`: not."""
    right = expected()
    assert not right.is_wrong(ITEMS[0], outputs())
    assert not right.is_wrong(ITEMS[0], outputs({**RESULT, "score": 0.8004}, score=0.8004))
    assert not right.is_wrong(ITEMS[0], outputs({**RESULT, "top": []}))
    assert right.is_wrong(ITEMS[0], outputs({**RESULT, "score": 0.81}))
    assert right.is_wrong(ITEMS[0], outputs({**RESULT, "label": "b"}))
    assert right.is_wrong(ITEMS[0], outputs(label=4))
    assert right.is_wrong(ITEMS[0], outputs(score=0.5))
    assert right.is_wrong(ITEMS[0], {"LABEL_ID": 3})
    assert right.is_wrong(ITEMS[0], {"RESULT": "no json"})
    assert not right.is_wrong(ITEMS[1], outputs(label=9))


def test_an_embedding_is_compared_as_numbers() -> None:
    """All of its numbers."""
    right = expected(results={ITEMS[0]: {"tokens": 2}}, exact={}, numeric={ITEMS[0]: {"EMBEDDING": [0.1, 0.2]}})
    assert not right.is_wrong(ITEMS[0], {"RESULT": '{"tokens": 2}', "EMBEDDING": [0.1001, 0.2]})
    assert right.is_wrong(ITEMS[0], {"RESULT": '{"tokens": 2}', "EMBEDDING": [0.1, 0.3]})
    assert right.is_wrong(ITEMS[0], {"RESULT": '{"tokens": 2}', "EMBEDDING": [0.1]})
    assert right.is_wrong(ITEMS[0], {"RESULT": '{"tokens": 2}'})
