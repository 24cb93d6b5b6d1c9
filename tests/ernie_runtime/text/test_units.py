"""Positions in UTF-16 units, against Python's own encoder."""

from __future__ import annotations

import pytest

from ernie_runtime.text.units import in_utf16, utf16_positions

TEXTS = ["", "王小明", "a😀b", "𠮷野家😀😀", "\U0010ffff\uffff", "e\u0301\r\n"]


@pytest.mark.parametrize("text", TEXTS)
def test_every_boundary(text: str) -> None:
    expected = [len(text[:end].encode("utf-16-le")) // 2 for end in range(len(text) + 1)]
    assert utf16_positions(text).tolist() == expected


def test_every_kind_of_position_and_nothing_else() -> None:
    text = "😀北京"
    result = {
        "entities": [{"label": "LOC", "text": "北京", "start": 1, "end": 3, "score": 0.5}],
        "offsets": [[0, 1], [1, 2], [2, 3]],
        "positions": [[1, 3]],
        "masks": [[{"token": "好", "score": 1}]],
        "paths": [["a", "b"]],
        "no_answer_score": 1,
    }
    assert in_utf16(result, text) == {
        **result,
        "entities": [{"label": "LOC", "text": "北京", "start": 2, "end": 4, "score": 0.5}],
        "offsets": [[0, 2], [2, 3], [3, 4]],
        "positions": [[2, 4]],
        "unit": "utf16",
    }
    assert result["positions"] == [[1, 3]]
