"""What is taken of the card of a checkpoint that ships."""

from __future__ import annotations

from ernie_builders.config.tasks import ASSETS
from ernie_builders.stages.selection import _read_card


def test_figures_are_those_of_the_cards_own_task() -> None:
    """DRCD has CMRC2018's weights, but its questions were never asked when the card was made."""
    path = ASSETS / "checkpoints" / "cmrc2018" / "card.json"
    own, other = _read_card(path, "cmrc2018"), _read_card(path, "drcd")
    assert own.evaluations[0].metrics["f1"] > 50 and not other.evaluations
    assert own.base_model == other.base_model != ""
