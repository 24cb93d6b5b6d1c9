"""Files of pairs with a score, and pairs as single texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ernie_builders.errors import ConfigError, DataError
from ernie_builders.kinds import get_builder_kind
from ernie_builders.readers import Example, get_reader
from ernie_builders.readers.pair_texts import read as pair_texts
from ernie_runtime.manifest import Manifest

from ..tiny import HIDDEN, manifest_with

KIND = get_builder_kind("similarity")
pair_scores, labelled_tsv = get_reader("pair_scores"), get_reader("labelled_tsv")


def manifest_of(kind: str = "similarity", dimension: int = HIDDEN, **options: Any) -> Manifest:
    return manifest_with(0, kind, options={"dimension": dimension, **options}, main_metric="spearman")


def test_scores_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "dev.tsv"
    path.write_text("a\tb\t5\n\nc d\te\t2.5\n", encoding="utf-8")
    expected = [Example(("a", "b"), 5.0, 1), Example(("c d", "e"), 2.5, 3)]
    assert list(pair_scores(path, {})) == expected
    texts = [Example((text,), e.target, e.line) for e in expected for text in e.texts]
    assert list(pair_texts(path, {"pairs": "pair_scores"})) == texts
    path.write_text("text_a\ttext_b\tlabel\na\tb\t1\n", encoding="utf-8")
    columns = {"text": "text_a", "text_pair": "text_b", "label": "label"}
    assert list(pair_texts(path, {"pairs": "labelled_tsv", **columns})) == [
        Example(("a",), "1", 2),
        Example(("b",), "1", 2),
    ]
    assert [KIND.check(e, manifest_of()) for e in labelled_tsv(path, columns)] == [None]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, 'data.fields.pairs must name the format of the pairs, such as "clue_json"'),
        ({"pairs": "labelled_tsv", "text": "a"}, "data.fields: labelled_tsv gives 1 texts, a pair has 2"),
        ({"pairs": "excel"}, "data format 'excel' is none of"),
    ],
)
def test_faulty_pairs(tmp_path: Path, columns: dict[str, str], message: str) -> None:
    path = tmp_path / "dev.tsv"
    path.write_text("a\tb\tlabel\nx\ty\t1\n", encoding="utf-8")
    with pytest.raises((ConfigError, DataError)) as raised:
        list(pair_texts(path, columns))
    assert message in str(raised.value)
