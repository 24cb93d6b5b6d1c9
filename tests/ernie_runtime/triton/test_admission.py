"""Who is let in: by what an execution takes, and by what is under way past the tokenizer."""

from __future__ import annotations

from ernie_runtime.triton.admission import (
    DIRECT_SHARE,
    FIRST_ROWS,
    IN_FLIGHT_SHARE,
    UNBOUNDED,
    Execution,
    ExecutionLimit,
    InFlightLimit,
)


def execution(texts: int, rows: int, seconds: float, dropped: int = 0) -> Execution:
    """All of it passed."""
    return Execution(processed=texts, succeeded=texts, outputs=rows, dropped=dropped, seconds=seconds)


def test_an_execution_follows_the_speed() -> None:
    limit = ExecutionLimit(0.1 / DIRECT_SHARE * 1000)  # a tenth of a second for an execution
    assert limit.room() == FIRST_ROWS
    limit.ended(execution(10, 10, 0.05))
    assert limit.room() == 20
    for _ in range(60):
        limit.ended(execution(10, 10, 0.5))
    assert limit.room() in (1, 2)
    limit.ended(execution(1, 1, 10.0))
    assert limit.room() == 1


class Past:
    """What is past a tokenizer whose SLO lets a second's worth of rows be under way; the clock stands still."""

    def __init__(self) -> None:
        self.now = 100.0
        self.reports: list[tuple[int, float]] = []
        self.limit = InFlightLimit(1000 / IN_FLIGHT_SHARE, self, lambda: self.now)

    def receive(self) -> list[tuple[int, float]]:
        reports, self.reports = self.reports, []
        return reports

    def room(self, *reports: tuple[int, float]) -> int:
        self.reports += reports
        return self.limit.room()


def test_nothing_is_refused_before_the_speed_is_known() -> None:
    past = Past()
    for _ in range(50):
        assert past.room() == UNBOUNDED
        past.limit.ended(execution(100, 100, 0.0))


def test_as_much_is_let_in_as_is_finished() -> None:
    past = Past()
    assert past.room((0, 0.1)) == 10
    past.limit.ended(execution(7, 7, 0.0))
    assert past.room() == 3
    past.limit.ended(execution(5, 5, 0.0))  # one request of five texts
    assert past.room() == 0
    assert past.room((1, 0.1)) == 0
    assert past.room((8, 0.1)) == 7
    assert past.room((100, 0.1)) == 10  # of encoders that are asked past the tokenizer: no credit


def test_texts_of_several_windows() -> None:
    past = Past()
    past.room((0, 0.1))
    past.limit.ended(execution(2, 8, 0.0))
    assert past.room() < 2
    assert past.room((8, 0.1)) < 10


def test_a_slower_encoder_lets_fewer_in() -> None:
    past = Past()
    assert past.room((0, 0.1)) == 10
    for _ in range(60):
        past.room((0, 0.5))
    assert past.room() in (1, 2)
    assert past.room(*[(0, 9.0)] * 60) == 1  # nothing is under way: somebody is always let in
    past.limit.ended(execution(1, 1, 0.0))
    assert past.room() == 0


def test_what_nobody_reports_is_forgotten_after_the_slo() -> None:
    past = Past()
    past.room((0, 0.1))
    past.limit.ended(execution(10, 10, 0.0))
    past.now += 1.9
    assert past.room() == 0
    past.now += 0.2
    assert past.room() == 10


def test_what_takes_longer_than_the_slo_is_not_forgotten() -> None:
    """300 rows of one request are 30 seconds of work; a report of a part of them leaves the rest."""
    past = Past()
    past.room((0, 0.1))
    past.limit.ended(execution(1, 300, 0.0))
    past.now += 59
    assert past.room() == 0
    past.now += 2
    assert past.room() > 0


def test_bad_texts_are_not_under_way_and_tell_nothing_of_windows() -> None:
    past = Past()
    past.room((0, 0.1))
    past.limit.ended(Execution(processed=6, succeeded=0, outputs=0, dropped=0, seconds=0.0))
    assert past.room() == 10
    past.limit.ended(Execution(processed=101, succeeded=1, outputs=1, dropped=0, seconds=0.0))
    assert past.room() == 9


def test_rows_that_an_encoder_drops_are_reported_before_its_speed_is_known() -> None:
    class SentReports(list[tuple[int, float]]):
        def send(self, rows: int, row_seconds: float) -> None:
            self.append((rows, row_seconds))

    outbox, past = SentReports(), Past()
    encoder = ExecutionLimit(1000, outbox=outbox)
    encoder.ended(Execution(processed=0, succeeded=0, outputs=0, dropped=7, seconds=0.0))
    encoder.ended(Execution(processed=2, succeeded=2, outputs=2, dropped=3, seconds=0.5))
    assert outbox == [(7, 0.0), (5, 0.25)]
    past.limit.ended(execution(9, 9, 0.0))
    assert past.room(outbox[0]) == UNBOUNDED
    assert past.room((0, 0.1)) == 8
