"""What an answer is, by the kind of the task."""

from __future__ import annotations

import ast
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_perf.peers.classic import SHARED
from ernie_perf.peers.standalone import KINDS, Answers, Case, answers_of, load_case

VALUES = np.array([[2.0, 0.0, -1.0], [0.0, 3.0, 4.0]], np.float32)


def as_json(answers: Answers, values: np.ndarray) -> list[dict[str, list[Any]]]:
    """The columns of each item alone, as Triton writes them."""
    arrays = answers.arrays(values)
    assert [(name, array.shape[1]) for name, array in arrays.items()] == [(n, w) for n, _, w in answers.columns]
    rows: list[dict[str, list[Any]]] = []
    for i in range(len(values)):
        rows.append({})
        for name, array in arrays.items():
            rows[-1][name] = [v.decode() if isinstance(v, bytes) else v for v in array[i].tolist()]
    return rows


def test_labels(case: Case) -> None:
    answers = answers_of(case)
    first, second = answers(VALUES)
    assert (first["label"], second["label"]) == ("north", "west")
    assert first["score"] == pytest.approx(np.exp(2) / (np.exp(2) + 1 + np.exp(-1)))
    for answer, row in zip((first, second), as_json(answers, VALUES), strict=True):
        assert not answers.difference(answers.from_columns(row), answer)
    assert answers.from_published(['{"label": "west", "score": 0.5}']) == {"label": "west", "score": 0.5}
    assert answers.difference({**first, "score": first["score"] + 9e-4}, first) == ""
    assert answers.difference({**first, "label": "west"}, first).startswith("west 0.84")
    assert "is right" in answers.difference({**first, "score": first["score"] + 2e-3}, first)


@pytest.mark.parametrize("normalize", [True, False])
def test_vectors(vectors: Case, normalize: bool) -> None:
    answers = answers_of(replace(vectors, normalize=normalize))
    first, second = answers(VALUES)
    assert second["embedding"] == pytest.approx([0.0, 0.6, 0.8] if normalize else [0.0, 3.0, 4.0])
    for answer, row in zip((first, second), as_json(answers, VALUES), strict=True):
        assert not answers.difference(answers.from_columns(row), answer)
        assert not answers.difference(answers.from_published(answer["embedding"]), answer)
    close, far = ([v + by for v in second["embedding"]] for by in (9e-4, 2e-3))
    assert answers.difference({"embedding": close}, second) == ""
    assert answers.difference({"embedding": far}, second) == "a vector that is off by 0.0020"
    assert answers.difference({"embedding": [float("nan"), 0.6, 0.8]}, second)


def test_a_vector_of_nothing_stays_zero(vectors: Case) -> None:
    (answer,) = answers_of(vectors)(np.zeros((1, 3), np.float32))
    assert answer == {"embedding": [0.0, 0.0, 0.0]}


@pytest.mark.parametrize("answer", [{}, {"embedding": [0.6, 0.8]}, {"embedding": "none"}, {"embedding": None}])
def test_a_malformed_vector_is_refused(vectors: Case, answer: dict[str, Any]) -> None:
    answers = answers_of(vectors)
    with pytest.raises((KeyError, TypeError, ValueError)):
        answers.difference(answer, answers(VALUES)[0])


def test_every_kind_has_answers(case: Case) -> None:
    assert [type(answers_of(replace(case, kind=kind))) for kind in KINDS] == list(KINDS.values())


def test_a_case_reaches_another_process(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON, by its path or by the environment."""
    path = case.write(tmp_path / "case.json")
    assert load_case(path) == case
    monkeypatch.setenv("PEER_CASE", str(path))
    assert load_case() == case


def test_the_file_copied_into_classic_models_imports_nothing_of_the_project() -> None:
    tree = ast.parse((Path(__file__).parents[3] / "perf" / "ernie_perf" / "peers" / SHARED).read_text(encoding="utf-8"))
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imported += ["." * n.level + (n.module or "") for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    dependencies = {"numpy", "onnxruntime", "tokenizers"}
    assert {module.split(".")[0] for module in imported} <= dependencies | set(sys.stdlib_module_names)
