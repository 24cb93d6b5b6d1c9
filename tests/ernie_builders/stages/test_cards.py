"""What is taken of the card of a checkpoint that ships."""

from __future__ import annotations

import json
from pathlib import Path

from ernie_builders.config.tasks import ASSETS, load_tasks
from ernie_builders.stages.selection import _read_card


def test_figures_are_those_of_the_cards_own_task() -> None:
    """DRCD has CMRC2018's weights, but its questions were never asked when the card was made."""
    path = ASSETS / "checkpoints" / "cmrc2018" / "card.json"
    tasks = load_tasks()
    own, other = _read_card(path, tasks["cmrc2018"]), _read_card(path, tasks["drcd"])
    assert own.evaluations[0].metrics["f1"] > 50 and not other.evaluations
    assert own.base_model == other.base_model != ""


def test_a_card_without_errors_has_those_that_its_figures_tell(tmp_path: Path) -> None:
    """A share of right rows has a binomial error; F1 has none without its rows, and what the card says stands."""
    path = tmp_path / "card.json"
    metrics = {"f1": 50.0, "em": 36.0}
    evaluations = [{"split": "dev", "rows": 2304, "metrics": metrics, "by": "test"}]
    path.write_text(json.dumps({"evaluations": evaluations}), encoding="utf-8")
    task = load_tasks()["cmrc2018"]
    assert _read_card(path, task).evaluations[0].errors == {"em": 1.0}
    path.write_text(json.dumps({"evaluations": [{**evaluations[0], "errors": {"em": 2.0}}]}), encoding="utf-8")
    assert _read_card(path, task).evaluations[0].errors == {"em": 2.0}
