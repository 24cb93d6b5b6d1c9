"""The notebooks run from top to bottom, on small tasks in place of those that ship."""

from __future__ import annotations

from pathlib import Path

import pytest

from ernie_serve.server import TritonServer

from ..docs.test_answers import load

pytestmark = pytest.mark.e2e

NOTEBOOKS = load(Path(__file__).parents[2] / "docs" / "site" / "notebooks.py")
TINY = {"chnsenticorp": "topic", "msra_ner": "ner"}
SMALL = {
    "event_hierarchy": "tree",
    "stsb_zh": "alike",
    "sentence_embedding": "vector",
    "faq_ranking": "search",
    "cmrc2018": "reading",
    "nlpcc2018_slu": "spoken",
}
OF_TINY = ("entities", "sentiment")
OF_SMALL = ("intent", "matching", "multi_label", "reading")


def values(outputs: list[dict]) -> int:
    return sum("data" in output for output in outputs)


def run(name: str, tasks: dict[str, str], server: TritonServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cells run, and have values where the notebook keeps one; small models may leave nothing to print."""
    monkeypatch.setenv(NOTEBOOKS.URL, server.grpc_address)
    notebook = NOTEBOOKS.read(NOTEBOOKS.FOLDER / f"{name}.ipynb")
    kept = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert list(map(values, NOTEBOOKS.run(notebook, tasks))) == list(map(values, kept))
    assert sum(map(values, kept)) >= 2


def test_none_is_left_out() -> None:
    assert sorted(path.stem for path in NOTEBOOKS.FOLDER.glob("*.ipynb")) == sorted((*OF_TINY, *OF_SMALL))


@pytest.mark.parametrize("name", (*OF_TINY, *OF_SMALL))
def test_each_cell_of_text_is_in_both_languages(name: str) -> None:
    cells = NOTEBOOKS.read(NOTEBOOKS.FOLDER / f"{name}.ipynb")["cells"]
    languages = [cell["metadata"]["lang"] for cell in cells if cell["cell_type"] == "markdown"]
    assert languages == ["en", "zh"] * (len(languages) // 2)


@pytest.mark.parametrize("name", OF_TINY)
def test_it_runs(server: TritonServer, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(name, TINY, server, monkeypatch)


@pytest.mark.parametrize("name", OF_SMALL)
def test_it_runs_on_other_kinds(every_kind: TritonServer, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(name, SMALL, every_kind, monkeypatch)
