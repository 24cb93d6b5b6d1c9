"""Every kind besides the first two, built by the builder from real text and served: answers equal the runtime's.

What is learnt is no matter here (tests/builders has that); a few steps make weights that differ from text to text.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc

from ernie_builders.lint.repository import lint
from ernie_runtime.kinds import kind_names
from ernie_runtime.steps.batching import pad_rows
from ernie_runtime.steps.pipeline import Pipeline
from ernie_serve.server import TritonServer
from ernie_triton import Client
from ernie_triton.results import CLASSES

from ..docs.test_answers import ANSWERS, KINDS, SHOWN, task_of
from .kinds import TASK_OF, items_of
from .packed import check_packed
from .wire import close, results, text_input

pytestmark = pytest.mark.e2e

SERVED_ELSEWHERE = {"sequence_classification", "token_classification"}  # test_serving.py


def ask(client: Any, pipeline: Pipeline, items: list[tuple[str, ...]], task: str) -> Any:
    columns = zip(pipeline.kind.inputs, zip(*items, strict=True), strict=True)
    return client.infer(task, [text_input(list(values), spec.name) for spec, values in columns])


def test_the_repository_passes_lint(kinds_repository: Path) -> None:
    assert lint(kinds_repository)[0] == []


def test_no_kind_is_left_out() -> None:
    assert set(TASK_OF) | SERVED_ELSEWHERE == set(kind_names())


@pytest.mark.parametrize("kind", TASK_OF)
def test_served_answers_equal_the_runtime(every_kind: TritonServer, kinds_repository: Path, kind: str) -> None:
    task, items = TASK_OF[kind], items_of(kind)
    pipeline = Pipeline.load(kinds_repository, task)
    answers = pipeline.predict(items)
    with grpc.InferenceServerClient(every_kind.grpc_address) as client:
        reply = ask(client, pipeline, items, task)
    assert not [answer for answer in answers if isinstance(answer, str)]
    served = results(reply)
    assert len({json.dumps(row, sort_keys=True) for row in served}) > 1 or kind.endswith("embedding")
    for item, result, answer in zip(items, served, answers, strict=True):
        assert not isinstance(answer, str)
        assert close(result, answer.result), item
        for span in [*result.get("answers", []), *result.get("slots", [])]:
            assert item[-1][span["start"] : span["end"]] == span["text"]
    for spec in pipeline.kind.numeric_outputs(pipeline.manifest):
        rows = [np.reshape(a.numeric[spec.name], spec.dims) for a in answers if not isinstance(a, str)]
        assert np.allclose(reply.as_numpy(spec.name), pad_rows(rows) if spec.per_token else np.stack(rows), atol=1e-4)


@pytest.mark.parametrize("kind", TASK_OF)
def test_packed_graphs_answer_the_same(kinds_repository: Path, kind: str) -> None:
    check_packed(kinds_repository, TASK_OF[kind], items_of(kind))


@pytest.mark.parametrize("kind", TASK_OF)
def test_a_bad_item_fails_alone(every_kind: TritonServer, kinds_repository: Path, kind: str) -> None:
    task, items = TASK_OF[kind], items_of(kind)[:2]
    pipeline = Pipeline.load(kinds_repository, task)
    blank_item = tuple("" for _ in pipeline.kind.inputs)
    with grpc.InferenceServerClient(every_kind.grpc_address) as client:
        first, second, third = results(ask(client, pipeline, [items[0], blank_item, items[1]], task))
        without_bad = results(ask(client, pipeline, items, task))
    assert second["error"]["message"].startswith("item 1: ")
    assert close([first, third], without_bad)


@pytest.mark.parametrize("kind", TASK_OF)
def test_the_client_gives_typed_answers(every_kind: TritonServer, kind: str) -> None:
    items = items_of(kind)[:3]
    with Client(every_kind.grpc_address) as client:
        answers = client.predict(TASK_OF[kind], [item[0] if len(item) == 1 else item for item in items])
    assert {type(answer) for answer in answers} == {CLASSES[kind]}


def keys(value: Any) -> Any:
    """The keys of an answer, those of objects in lists too; of a list its first element stands for all."""
    if isinstance(value, dict):
        return {key: keys(inner) for key, inner in value.items()}
    return [keys(inner) for inner in value[:1]] if isinstance(value, list) else None


def pruned(shown: Any, served: Any) -> Any:
    """The shown keys, without what is in lists that this server's small models leave empty."""
    if isinstance(shown, dict):
        return {key: pruned(inner, served.get(key)) for key, inner in shown.items()}
    return [pruned(inner, served[0]) for inner in shown[:1]] if served else served


@pytest.mark.parametrize(
    ("command", "shown"), [(c, a) for c, a in SHOWN if KINDS[task_of(c)] in TASK_OF], ids=lambda value: str(value)[:30]
)
def test_answers_of_the_page_have_the_served_form(every_kind: TritonServer, command: str, shown: list[Any]) -> None:
    """docs/answers.md shows the answers of trained tasks; its commands are sent to small ones of the same kinds."""
    words = [TASK_OF[KINDS[task_of(command)]], *ANSWERS.words_of(command)[3:]]
    shortened = ["16" if before == "--dimensions" else word for before, word in zip(["", *words], words, strict=False)]
    (served,) = ANSWERS.ask(shlex.join(["ernie-triton", "predict", *shortened]), every_kind.grpc_address)
    assert pruned(keys(shown[0]), keys(served)) == keys(served)
