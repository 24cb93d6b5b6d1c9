"""The table of dev figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ernie_builders.registry import figures
from ernie_builders.registry.figures import whole
from ernie_runtime.manifest import Evaluation

CARD = Evaluation("dev", 5061, {"accuracy": 52.48}, "the builder, on the weights as they are stored")
OWN = Evaluation("dev", 5061, {"accuracy": 52.5}, "this build, through the serving code")
TRANSFER = Evaluation("lcqmc", 8802, {"accuracy": 50.0}, "this build, through the serving code")
SAMPLE = replace(OWN, split="sample", rows=12)


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ([CARD, OWN, TRANSFER], [OWN, TRANSFER]),
        ([CARD, SAMPLE], [CARD]),
        ([OWN], [OWN]),
        ([SAMPLE], []),
        ([], []),
    ],
)
def test_whole_sets_only(found: list[Evaluation], shown: list[Evaluation]) -> None:
    assert whole(found) == shown


def test_needs_a_repository(capsys: pytest.CaptureFixture[str]) -> None:
    assert figures.main([]) == 2
    assert capsys.readouterr().err.startswith("usage: ")
