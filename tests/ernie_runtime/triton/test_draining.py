"""What a first step answers and refuses once the server is about to end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ernie_runtime.triton.draining import Draining

SECONDS_OF = 0.04  # an execution


@pytest.mark.parametrize(
    ("was_busy", "starts", "refused"),
    [
        (False, [0.05, 0.5], [False, True]),  # on its way when the end was announced
        (True, [0.02, 0.06, 0.1, 0.14, 0.2, 0.3, 0.31], [False] * 5 + [True] * 2),  # a queue, then a gap
        (True, [i * SECONDS_OF for i in range(1, 140)], [False] * 125 + [True] * 14),  # callers that leave no gap
    ],
)
def test_what_had_come_before_is_answered(
    tmp_path: Path, was_busy: bool, starts: list[float], refused: list[bool]
) -> None:
    now = 990.0
    draining = Draining(str(tmp_path / "file"), lambda: now)
    assert not draining.refuses()
    (tmp_path / "file").touch()
    os.utime(tmp_path / "file", (1000.0, 1000.0))
    if was_busy:
        now = 1000.01
        draining.ended()
    outcomes = []
    for start in starts:
        now = 1000.0 + start
        outcomes.append(draining.refuses())
        now += SECONDS_OF if not outcomes[-1] else 0
        draining.ended()
    assert outcomes == refused
