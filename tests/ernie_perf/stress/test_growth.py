"""What a token costs: the texts of each length, the closed loop, and the table."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ernie_perf import cli
from ernie_perf.errors import AnswerError, PerfError
from ernie_perf.stress.growth import LengthFigures, measure_closed_loop, parse, table, texts_of_length
from ernie_perf.stress.load_client import LoadClient
from ernie_perf.sweep.engine import measure_engine
from ernie_perf.sweep.expected import ExpectedAnswers
from ernie_runtime.steps.pipeline import Pipeline

from ..conftest import ToyServer

SOURCE = [(f"今天天气很好我们出去玩 iPhone {n} 吧",) for n in range(20)]
SOURCE += [(f"银行下调利率,股票上涨了{1990 + n}年",) for n in range(20)]


@pytest.mark.parametrize("tokens", [4, 8, 17, 32])
def test_texts_have_exactly_the_tokens_asked_for(pipeline: Pipeline, tokens: int) -> None:
    """Special tokens included, each in one window; every text is cut from the given ones."""
    texts = texts_of_length(pipeline, SOURCE, tokens, 5)
    assert [len(window.input_ids) for window in texts.windows] == [tokens] * 5
    assert len(texts.items) == 5 and texts.source == f"{tokens} tokens"
    joined = "".join(item[0] for item in SOURCE)
    assert all(item[0] in joined for item in texts.items)
    assert len(set(texts.items)) > 1


def test_a_length_that_no_text_has(pipeline: Pipeline) -> None:
    """Two special tokens leave nothing of a text of one; more texts than there is text; longer than a window."""
    for tokens, count in ((1, 3), (8, 4000), (33, 3)):
        with pytest.raises(PerfError, match=f"task toy: no {count} texts of {tokens} tokens in one window; --lengths"):
            texts_of_length(pipeline, SOURCE, tokens, count)


def test_the_bare_engine_runs_every_window_once_padded(pipeline: Pipeline) -> None:
    """In the order of the file, or sorted by length, which pads less; one batch more, for warm-up."""
    engine: Any = pipeline.engine
    items = [("今天",), ("今天天气很好我们",), ("明天",), ("明天天气很好我们",)]
    _, windows = pipeline.kind.documents(items, pipeline.tokenizer, pipeline.manifest)
    in_order = measure_engine(pipeline, windows, texts=4, batch=2, order="file")
    assert engine.shapes == [(2, 10)] * 3
    assert (in_order.real_tokens, in_order.padding_tokens) == (2 * (4 + 10), 2 * 6)
    engine.shapes.clear()
    by_length = measure_engine(pipeline, windows, texts=4, batch=2, order="length")
    assert engine.shapes == [(2, 4), (2, 4), (2, 10)]
    assert (by_length.real_tokens, by_length.padding_tokens) == (28, 0)
    assert in_order.throughput > 0 and by_length.throughput > 0


def expected(items: list[tuple[str, ...]], answer: str = "") -> ExpectedAnswers:
    """RESULT is the text itself, or `answer`."""
    results = {item: answer or item[0] for item in items}
    return ExpectedAnswers(inputs=("TEXT",), items=tuple(items), results=results, exact={})


@pytest.mark.timing
def test_the_closed_loop_against_a_server(toy_server: ToyServer) -> None:
    """20 ms a request and two callers: near 100 texts/s, never more."""
    toy_server.model.seconds = 0.02
    right = expected([("今天",), ("明天",)])
    with LoadClient(toy_server.address, "toy_fp32", right.inputs, right.items) as client:
        throughput, p50_ms = measure_closed_loop(client, right, callers=2, seconds=0.5)
    assert 20 < throughput <= 100 and 20 <= p50_ms < 100
    assert throughput == pytest.approx(2 / (p50_ms / 1000), rel=0.35)


def test_wrong_answers_and_refusals_give_no_figures(toy_server: ToyServer) -> None:
    """Fast and wrong is a failure; so is a task with an SLO, which refuses what would be late."""
    wrong = expected([("今天",)], "something else")
    with LoadClient(toy_server.address, "toy_fp32", wrong.inputs, wrong.items) as client:
        with pytest.raises(AnswerError, match=r"(\d+) of \1 answers are wrong, the first: .*RESULT"):
            measure_closed_loop(client, wrong, callers=1, seconds=0.2)
        toy_server.model.refuse = lambda number: number % 5 == 0
        toy_server.model.answer = lambda text: json.dumps("something else")
        with pytest.raises(PerfError, match=r"a request was refused \(Exceeds maximum queue size\): measure a task"):
            measure_closed_loop(client, wrong, callers=1, seconds=0.3)


def test_the_table_shows_microseconds_per_token() -> None:
    """1,000 texts/s of 10 tokens are 100 us a token."""
    figures = [
        LengthFigures(tokens=10, engine={1: 1000.0, 8: 4000.0}, served={2: 500.0}, p50_ms={2: 3.96}),
        LengthFigures(tokens=100, engine={1: 200.0, 8: 400.0}, served={2: 100.0}, p50_ms={2: 20.0}),
    ]
    header, rule, first, second = table(figures).splitlines()
    assert header == (
        "| tokens a text | engine, batch 1: us a token | engine, batch 8: us a token | served, 2 callers: us a token | "
        "2 callers: p50 ms |"
    )
    assert rule.count("---:") == 5
    assert first == "| 10 | 100 | 25 | 200 | 4.0 |" and second == "| 100 | 50 | 25 | 100 | 20.0 |"


def test_options() -> None:
    """Lists keep their order; lengths follow the task's window where none are given."""
    options = parse(["--task", "tnews", "--concurrency", "8,1", "--batches", "4"])
    assert (options.callers, options.batches, options.lengths) == ((8, 1), (4,), ())
    assert options.selection.tasks == "tnews" and options.selection.variants == "recommended"


@pytest.mark.parametrize(
    "wrong", [["--rounds", "0"], ["--seconds", "0"], ["--limit", "-1"], ["--lengths", "0"], ["--batches", "many"]]
)
def test_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and which option."""
    with pytest.raises(SystemExit) as leaving:
        cli.main(["growth", "--task", "tnews", *wrong])
    assert leaving.value.code == 2 and wrong[0] in capsys.readouterr().err
