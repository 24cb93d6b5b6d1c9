"""Every kind besides the first two, built by the builder from real text and served: answers equal the runtime's.

What is learnt is no matter here (tests/builders has that); a few steps make weights that differ from text to text.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc

from ernie_builders import build_all
from ernie_builders.config.tasks import ASSETS
from ernie_builders.lint.repository import lint
from ernie_builders.readers.bio_columns import read as read_entities
from ernie_builders.readers.squad_json import read as read_questions
from ernie_runtime.kinds import kind_names
from ernie_runtime.steps.batching import pad_rows
from ernie_runtime.steps.pipeline import Pipeline
from ernie_serve.server import ServerOptions, TritonServer
from ernie_triton import Client
from ernie_triton.results import CLASSES

from ..docs.test_answers import ANSWERS, KINDS, SHOWN, task_of
from ..shared import made_once
from .conftest import write_base_model
from .wire import close, results, same_bytes, text_input

pytestmark = pytest.mark.e2e

LIMITS = "limits = { max_length = 64, doc_stride = 24 }"
CUT = 'limits = { max_length = 64, doc_stride = 24, overflow = "truncate" }'
TRAIN = "train = { epochs = 1, batch_size = 16, learning_rate = 5e-3, dropout = 0.0, evals_per_epoch = 1 }"
PAIR = 'data = { format = "labelled_tsv", folder = "pairs", train = "train.tsv", dev = "train.tsv", fields = { text = "text_a", text_pair = "text_b", label = "label" } }'  # noqa: E501
TASKS = f"""
[tasks.pair]
kind = "pair_classification"
labels = ["0", "1"]
{CUT}
{PAIR}
{TRAIN}
[tasks.reading]
kind = "question_answering"
options = {{ max_answer_tokens = 10, max_question_tokens = 20 }}
{LIMITS}
data = {{ format = "squad_json", folder = "reading", train = "train.json", dev = "train.json" }}
{TRAIN}
[tasks.spoken]
kind = "intent_slots"
labels = ["names", "no_names"]
options = {{ slots = ["PER", "LOC", "ORG"] }}
limits = {{ max_length = 32, doc_stride = 16 }}
data = {{ format = "nlpcc_slu", folder = "spoken", train = "train.txt", dev = "train.txt" }}
{TRAIN}
[tasks.tree]
kind = "hierarchical_classification"
labels = ["name", "name##PER", "place", "place##LOC", "place##ORG"]
{LIMITS}
data = {{ format = "hierarchy_tsv", folder = "tree", train = "train.txt", dev = "train.txt" }}
{TRAIN}
[tasks.alike]
kind = "similarity"
options = {{ dimension = 32 }}
{LIMITS}
{PAIR}
{TRAIN}
[tasks.search]
kind = "ranking"
labels = ["0", "1"]
{CUT}
data = {{ format = "ranking_json", folder = "search", train = "train.json", dev = "train.json" }}
{TRAIN}
[tasks.vector]
kind = "embedding"
options = {{ dimension = 32 }}
examples = ["今天天气很好"]
{LIMITS}
data = {{ format = "labelled_tsv", folder = "none" }}
[tasks.tokens]
kind = "token_embedding"
options = {{ dimension = 32 }}
examples = ["今天天气很好"]
{CUT}
data = {{ format = "labelled_tsv", folder = "none" }}
[tasks.both]
kind = "pair_embedding"
options = {{ dimension = 32 }}
examples = [["今天天气很好", "今天很热"]]
{CUT}
data = {{ format = "labelled_tsv", folder = "none" }}
[tasks.blank]
kind = "fill_mask"
base_model = "embedded"
examples = ["今天天气很[MASK]。"]
{LIMITS}
data = {{ format = "masked_text", folder = "none" }}
"""
TASK_OF = {
    "pair_classification": "pair",
    "question_answering": "reading",
    "intent_slots": "spoken",
    "hierarchical_classification": "tree",
    "similarity": "alike",
    "ranking": "search",
    "embedding": "vector",
    "token_embedding": "tokens",
    "pair_embedding": "both",
    "fill_mask": "blank",
}
UNTRAINED = ("vector", "tokens", "both")  # from the weights of `alike`
SERVED_ELSEWHERE = {"sequence_classification", "token_classification"}  # test_serving.py


def questions() -> list[tuple[str, str]]:
    """Real questions with their real contexts."""
    path = ASSETS / "samples" / "cmrc2018" / "train.json"
    return [(e.texts[0], e.texts[1]) for e in read_questions(path, {}, "train")]


def write_data(root: Path) -> None:
    """Real sentences in each kind's format."""
    question_pairs = questions()
    sentences = [e for e in read_entities(ASSETS / "samples" / "msra_ner" / "train.txt", {}) if e.target][:60]

    def write(name: str, text: str) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")

    short = [(question, context.split("。")[0][:40].replace("\t", " ")) for question, context in question_pairs]
    rows = [f"{q}\t{c}\t1\n{q}\t{short[i - 1][1]}\t0\n" for i, (q, c) in enumerate(short)]
    write("pairs/train.tsv", "text_a\ttext_b\tlabel\n" + "".join(rows))
    write("reading/train.json", (ASSETS / "samples" / "cmrc2018" / "train.json").read_text(encoding="utf-8"))
    ranked = [
        {"query": q, "candidates": [c, short[i - 1][1], short[i - 2][1]], "positives": [0]}
        for i, (q, c) in enumerate(short)
    ]
    write("search/train.json", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ranked))
    write(
        "tree/train.txt",
        "".join(
            f"{e.texts[0]}\t{','.join(sorted({('name##' if k == 'PER' else 'place##') + k for _, _, k in e.target}))}\n"
            for e in sentences
        ),
    )
    spoken = []
    for number, example in enumerate(sentences):
        text, marked, last = example.texts[0], "", 0
        if "<" in text or "|" in text:
            continue
        for start, end, kind in example.target:
            marked += f"{text[last:start]}<{kind}>{text[start:end]}</{kind}>"
            last = end
        intent = "names" if any(kind == "PER" for _, _, kind in example.target) else "no_names"
        spoken.append(f"{number}\t{text}\t{intent}\t{marked}{text[last:]}\n")
    write("spoken/train.txt", "\n".join(spoken))


def items_of(kind: str) -> list[tuple[str, ...]]:
    """Real items, some of several windows, and hard characters."""
    pairs = questions()[:12]
    texts = [context[:length] for (_, context), length in zip(pairs, (20, 300, 45, 8) * 3, strict=True)]
    texts += ["打电话给18866668888，iPhone15Pro　ＡＢＣ", "😀café  x"]
    if kind in ("pair_classification", "similarity", "pair_embedding"):
        return [(text, texts[i - 1]) for i, text in enumerate(texts)]
    if kind == "question_answering":
        return [*pairs, ("电话是多少", "打电话给18866668888，iPhone15Pro😀")]
    if kind == "ranking":
        return [(question, json.dumps(texts[:n], ensure_ascii=False)) for n, (question, _) in enumerate(pairs, 1)]
    if kind == "fill_mask":
        return [(f"{text}[MASK]{text[:9]}[MASK]",) for text in texts]
    return [(text,) for text in texts]


def build_all_kinds(root: Path) -> None:
    write_base_model(root / "base", layers=1)
    write_data(root / "data")
    (root / "data" / "none").mkdir()
    (root / "tasks.toml").write_text(TASKS, encoding="utf-8")
    common = ["--tasks-file", str(root / "tasks.toml"), "--cache", str(root / "build")]
    common += ["--output", str(root / "repository"), "--fused"]
    trained = ",".join(name for name in TASK_OF.values() if name not in (*UNTRAINED, "blank"))
    data = ["--profile", "full", "--data-dir", str(root / "data"), "--base-model", str(root / "base")]
    assert build_all.main([*common, *data, "--tasks", trained]) == 0
    (alike,) = (path for path in (root / "build" / "alike" / "fine-tune").iterdir() if (path / "best").is_dir())
    checkpoints = [word for name in UNTRAINED for word in ("--checkpoint", f"{name}={alike / 'best'}")]
    assert build_all.main([*common, "--tasks", ",".join((*UNTRAINED, "blank")), *checkpoints]) == 0


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of all kinds; nobody changes it."""
    return made_once("kinds", build_all_kinds, tmp_path_factory) / "repository"


@pytest.fixture(scope="module")
def running(everything: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    log = tmp_path_factory.mktemp("kinds-server") / "triton.log"
    with TritonServer(
        ServerOptions(repository=everything, http_port=0, grpc_port=0, metrics_port=0, log_file=log)
    ) as server:
        yield server


def ask(client: Any, pipeline: Pipeline, items: list[tuple[str, ...]], task: str) -> Any:
    columns = zip(pipeline.kind.inputs, zip(*items, strict=True), strict=True)
    return client.infer(task, [text_input(list(values), spec.name) for spec, values in columns])


def test_the_repository_passes_lint(everything: Path) -> None:
    assert lint(everything)[0] == []


def test_no_kind_is_left_out() -> None:
    assert set(TASK_OF) | SERVED_ELSEWHERE == set(kind_names())


@pytest.mark.parametrize("kind", TASK_OF)
def test_served_answers_equal_the_runtime(running: TritonServer, everything: Path, kind: str) -> None:
    task, items = TASK_OF[kind], items_of(kind)
    pipeline = Pipeline.load(everything, task)
    answers = pipeline.predict(items)
    with grpc.InferenceServerClient(running.grpc_address) as client:
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
def test_a_bad_item_fails_alone(running: TritonServer, everything: Path, kind: str) -> None:
    task, items = TASK_OF[kind], items_of(kind)[:2]
    pipeline = Pipeline.load(everything, task)
    blank_item = tuple("" for _ in pipeline.kind.inputs)
    with grpc.InferenceServerClient(running.grpc_address) as client:
        first, second, third = results(ask(client, pipeline, [items[0], blank_item, items[1]], task))
        without_bad = results(ask(client, pipeline, items, task))
    assert second["error"]["message"].startswith("item 1: ")
    assert close([first, third], without_bad)


@pytest.mark.parametrize("kind", TASK_OF)
def test_one_process_answers_the_same_bytes(running: TritonServer, everything: Path, kind: str) -> None:
    task, items = TASK_OF[kind], items_of(kind)
    pipeline = Pipeline.load(everything, task)
    blank = tuple("" for _ in pipeline.kind.inputs)
    with grpc.InferenceServerClient(running.grpc_address) as client:
        for request in (items, [items[0], blank, *items[1:3]], *([item] for item in items)):
            ensemble, fused = (ask(client, pipeline, list(request), name) for name in (task, f"{task}_fused"))
            assert same_bytes(ensemble, fused), request


@pytest.mark.parametrize("kind", TASK_OF)
def test_the_client_gives_typed_answers(running: TritonServer, kind: str) -> None:
    items = items_of(kind)[:3]
    with Client(running.grpc_address) as client:
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
def test_answers_of_the_page_have_the_served_form(running: TritonServer, command: str, shown: list[Any]) -> None:
    """docs/answers.md shows the answers of trained tasks; its commands are sent to small ones of the same kinds."""
    words = [TASK_OF[KINDS[task_of(command)]], *ANSWERS.words_of(command)[3:]]
    shortened = ["16" if before == "--dimensions" else word for before, word in zip(["", *words], words, strict=False)]
    (served,) = ANSWERS.ask(shlex.join(["ernie-triton", "predict", *shortened]), running.grpc_address)
    assert pruned(keys(shown[0]), keys(served)) == keys(served)
