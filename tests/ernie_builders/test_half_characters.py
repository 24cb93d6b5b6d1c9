"""JSON can escape half of a character: every reader of JSON says where, before anything is written as UTF-8."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ernie_builders.errors import DataError
from ernie_builders.readers import get_reader

HALF = "北\ud83d"
SPANS = {"span1_text": "北", "span1_index": 0, "span2_text": "他", "span2_index": 2}


@pytest.mark.parametrize(
    ("name", "row", "columns", "field"),
    [
        ("clue_json", {"a": HALF, "label": "1"}, {"text": "a", "label": "label"}, "a"),
        ("clue_json", {"a": ["好", HALF], "label": "1"}, {"text": "a", "label": "label"}, "a"),
        ("cluewsc_json", {"text": f"{HALF}他", "label": "true", "target": SPANS}, {}, "text"),
        ("ranking_json", {"query": HALF, "candidates": ["好"], "positives": [0]}, {}, "query"),
        ("ranking_json", {"q": "好", "c": ["好", HALF], "positives": [0]}, {"query": "q", "candidates": "c"}, "c"),
    ],
)
def test_half_a_character(tmp_path: Path, name: str, row: dict[str, Any], columns: dict[str, str], field: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(f"\n{json.dumps(row)}\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"rows\.json:2: field '{field}' holds half a surrogate pair"):
        list(get_reader(name)(path, columns, "dev"))
