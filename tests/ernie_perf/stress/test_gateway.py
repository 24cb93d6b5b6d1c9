"""What the gateway costs: the command line and the table."""

from __future__ import annotations

import pytest

from ernie_perf.stress.gateway import GatewayFigures, parse, table


def test_the_table_shows_the_share_and_the_milliseconds_added() -> None:
    figures = GatewayFigures(callers=32, grpc_texts_s=200, gateway_texts_s=184, grpc_p50_ms=5.0, gateway_p50_ms=6.25)
    assert table([figures]).splitlines()[-1] == "| 32 | 200 | 184 | 92% | 5.00 | 6.25 | +1.25 |"


def test_the_defaults_are_one_caller_and_many() -> None:
    options = parse(["--task", "tnews"])
    assert (tuple(options.callers), options.workers) == ((1, 32), 1)


def test_nothing_to_measure_is_wrong_usage() -> None:
    with pytest.raises(SystemExit):
        parse(["--task", "tnews", "--rounds", "0"])
