"""Reading comprehension when building: the sample, training rows, and metrics and loss computed by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ernie_builders.framework import import_paddle, import_paddlenlp
from ernie_builders.kinds import Row, get_builder_kind
from ernie_builders.kinds.question_answering import CLS, NEGATIVE_SHARE
from ernie_builders.readers import Example
from ernie_builders.stages.draft import draft_manifest
from ernie_runtime.kinds import Answer, get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import answer_documents, window_outputs
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.windows import Window

from ..cmrc_sample import SAMPLE, TASK, sample, with_limits

KIND_NAME = "question_answering"
KIND = get_builder_kind(KIND_NAME)


def test_the_sample_that_ships() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 250_000
    train, dev = sample("train"), sample("dev")
    assert (len(train), len(dev)) == (120, 40)
    for example in [*train, *dev]:
        for answer in example.target["answers"]:
            assert example.texts[1].startswith(answer["text"], answer["start"])
    assert not {e.texts[1] for e in train} & {e.texts[1] for e in dev}
    assert {len(e.target["answers"]) for e in dev} == {3}


def cut(examples: list[Example], tokenizer: ErnieTokenizer, manifest: Manifest) -> Any:
    """Documents, and each one's windows."""
    documents, windows = get_kind(KIND_NAME).documents([e.texts for e in examples], tokenizer, manifest)
    owned: list[list[Window]] = [[] for _ in examples]
    for window in windows:
        owned[window.owner].append(window)
    return documents, owned


@pytest.mark.parametrize(("max_length", "doc_stride"), [(256, 128), (96, 16)])
def test_rows_point_at_the_answer(embedded_tokenizer: ErnieTokenizer, max_length: int, doc_stride: int) -> None:
    """An engine that says what the rows teach answers every question of the sample with its reference."""
    manifest = draft_manifest(with_limits(max_length, doc_stride), embedded_tokenizer)
    examples = [*sample("train"), *sample("dev")]
    documents, owned = cut(examples, embedded_tokenizer, manifest)
    rows = []
    for example, document, windows in zip(examples, documents, owned, strict=True):
        targets_of_window = {id(row.windows[0]): row.targets for row in KIND.rows(example, document, windows, manifest)}
        for window in windows:
            logits = np.zeros((2, len(window.offsets)), np.float32)
            targets = targets_of_window.get(id(window))
            logits[0, targets["start"] if targets else CLS] = logits[1, targets["end"] if targets else CLS] = 20
            rows.append({"start_logits": logits[0], "end_logits": logits[1]})
    served = get_kind(KIND_NAME)
    windows = [window for document_windows in owned for window in document_windows]
    outputs = window_outputs(served.encoder_outputs(manifest), windows, rows, len(documents))
    answers = answer_documents(served, documents, outputs, manifest)
    for example, answer in zip(examples, answers, strict=True):
        assert isinstance(answer, Answer)
        assert answer.result["answers"][0]["text"] == example.target["answers"][0]["text"].strip()
        assert KIND.wrong(example, answer, manifest) is None
    assert KIND.score(examples, answers, manifest) == {"em": 100.0, "f1": 100.0}


def test_windows_without_the_answer(embedded_tokenizer: ErnieTokenizer) -> None:
    """About NEGATIVE_SHARE of them, the same ones each time, labelled [CLS]."""
    manifest = draft_manifest(with_limits(96, 16), embedded_tokenizer)
    examples = sample("train")
    documents, owned = cut(examples, embedded_tokenizer, manifest)

    def make_rows() -> list[list[Row]]:
        return [KIND.rows(e, d, w, manifest) for e, d, w in zip(examples, documents, owned, strict=True)]

    rows, repeated = make_rows(), make_rows()
    assert [[id(r.windows[0]) for r in example_rows] for example_rows in rows] == [
        [id(r.windows[0]) for r in example_rows] for example_rows in repeated
    ]
    flat = [row for example_rows in rows for row in example_rows]
    without = [row for row in flat if row.targets["start"] == CLS]
    holding = len(flat) - len(without)
    assert len(without) == pytest.approx(NEGATIVE_SHARE * (sum(map(len, owned)) - holding), rel=0.25)
    for row in without:
        assert row.targets["end"] == CLS
    for row in flat:
        (window,) = row.windows
        assert row.targets["allowed"].tolist() == [1, *(window.offsets[1:, 1] > 0).astype(int).tolist()]
    none = replace(examples[0], target={"id": "x", "answers": []})
    assert {int(r.targets["start"]) for r in KIND.rows(none, documents[0], owned[0] * 9, manifest)} == {CLS}
    absent = replace(examples[0], target={"id": "x", "answers": [{"text": "39764.0", "start": -1}]})
    assert KIND.rows(absent, documents[0], owned[0], manifest) == []


def test_check(embedded_tokenizer: ErnieTokenizer) -> None:
    manifest = draft_manifest(TASK, embedded_tokenizer)
    good = Example(("何", "北京"), {"id": "q", "answers": [{"text": "京", "start": 1}, {"text": "x", "start": -1}]}, 1)
    assert KIND.check(good, manifest) is None
    bad = replace(good, target={"id": "q", "answers": [{"text": "京", "start": 0}]})
    assert KIND.check(bad, manifest) == "question q: the answer is not at character 0"
    assert "squad_json" in str(KIND.check(replace(good, target="label"), manifest))


def test_score_and_wrong(embedded_tokenizer: ErnieTokenizer) -> None:
    manifest = draft_manifest(TASK, embedded_tokenizer)

    def example(*references: str) -> Example:
        return Example(("何", "文"), {"id": "q", "answers": [{"text": t, "start": -1} for t in references]}, 1)

    def answer(*texts: str) -> Answer:
        return Answer({"answers": [{"text": t} for t in texts], "no_answer_score": 0.0}, {})

    examples = [example("北京"), example("北京大学", "北京"), example("上海"), example(), example(), example("x")]
    answers: list[Answer | str] = [answer("《北京》", "x"), answer("北京大"), answer(), answer(), answer("x"), "empty"]
    figures = KIND.score(examples, answers, manifest)
    assert figures == {"em": round(100 * 2 / 6, 3), "f1": round(100 * (1 + 6 / 7 + 0 + 1 + 0 + 0) / 6, 3)}
    wrong = [KIND.wrong(e, a, manifest) for e, a in zip(examples, answers, strict=True)]
    assert [row is None for row in wrong] == [True, False, False, True, False, False]
    assert wrong[1] == {"id": "q", "question": "何", "expected": ["北京大学", "北京"], "predicted": "北京大"}
    assert wrong[5] is not None and wrong[5]["error"] == "empty"
    assert KIND.score([], [], manifest) == {"em": 0.0, "f1": 0.0}


def test_loss_computed_by_hand() -> None:
    """Cross entropy over [CLS] and the context: the question's logits and padding count for nothing."""
    paddle = import_paddle("cpu")
    import_paddlenlp()
    logits = np.array([[1.0, 50, 2, 3, 50], [0.5, 50, 50, 1, 2]], np.float32)
    allowed = np.array([[1, 0, 1, 1, -100], [1, 0, 0, 1, 1]])
    outputs = {f"{name}_logits": paddle.to_tensor(logits + shift) for name, shift in (("start", 0), ("end", 3))}
    targets = {n: paddle.to_tensor(v) for n, v in (("allowed", allowed), ("start", [2, 0]), ("end", [3, 4]))}

    def entropy(row: list[float], target: int) -> float:
        return float(np.log(np.exp(row).sum()) - row[target])

    first, second = [1.0, 2, 3], [0.5, 1, 2]
    expected = (entropy(first, 1) + entropy(second, 0) + entropy(first, 2) + entropy(second, 2)) / 4
    assert float(KIND.loss(outputs, targets)) == pytest.approx(expected, abs=1e-5)
