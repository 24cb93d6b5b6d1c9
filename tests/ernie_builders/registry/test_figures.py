"""The table of dev figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ernie_builders.registry import cli
from ernie_builders.registry.figures import HEAD, Row, whole
from ernie_runtime.manifest import Evaluation

CARD = Evaluation(
    split="dev", rows=5061, metrics={"accuracy": 52.48}, by="the builder, on the weights as they are stored"
)
OWN = Evaluation(split="dev", rows=5061, metrics={"accuracy": 52.5}, by="this build, through the serving code")
TRANSFER = Evaluation(split="lcqmc", rows=8802, metrics={"accuracy": 50.0}, by="this build, through the serving code")
SAMPLE = replace(OWN, split="sample", rows=12)


@pytest.mark.parametrize(
    ("evaluations", "shown"),
    [
        ([CARD, OWN, TRANSFER], [OWN, TRANSFER]),
        ([CARD, SAMPLE], [CARD]),
        ([OWN], [OWN]),
        ([SAMPLE], []),
        ([], []),
    ],
)
def test_whole_sets_only(evaluations: list[Evaluation], shown: list[Evaluation]) -> None:
    assert whole(evaluations) == shown


def test_a_row_is_a_line_or_an_object() -> None:
    row = Row(
        task="tnews", kind="sequence_classification", evaluations=(OWN, TRANSFER), shown="accuracy 52.50", published="",
        parameters=7_400_000, training="none",
    )  # fmt: skip
    assert row.line() == "| tnews | sequence_classification | 5,061 + 8,802 | accuracy 52.50 |  | 7.4 M | none |"
    assert row.to_json()["evaluations"][0]["metrics"] == {"accuracy": 52.5} and "shown" not in row.to_json()


def test_needs_a_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["figures", "--repository", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == f"ernie-triton assets: {tmp_path / 'none'}: no such directory\n"
    assert cli.main(["figures", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == list(HEAD)
