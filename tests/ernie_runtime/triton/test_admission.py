"""Who is let in: by what an execution takes."""

from __future__ import annotations

from ernie_runtime.triton.admission import FIRST_ROWS, SHARE, ExecutionLimit


def test_an_execution_follows_the_speed() -> None:
    limit = ExecutionLimit(0.1 / SHARE * 1000)  # a tenth of a second for an execution
    assert limit.room() == FIRST_ROWS
    limit.ended(10, 0.05)
    assert limit.room() == 20
    for _ in range(60):
        limit.ended(10, 0.5)
    assert limit.room() in (1, 2)
    limit.ended(1, 10.0)
    assert limit.room() == 1
