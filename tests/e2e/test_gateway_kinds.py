"""The gateway before a server with every kind: its page in a real Chromium, the shapes of other clients, OpenAPI."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from ernie_serve.server import TritonServer
from ernie_triton import Client

from .browser import chromium, faults_of
from .gateways import gateway
from .kinds import TASK_OF, items_of

pytestmark = pytest.mark.e2e
TEXTS = ["今天天气很好", "股市大涨", "球队赢了"]
DRAWN = {  # what an answer of the kind is drawn with
    "pair_classification": ".row.best",
    "question_answering": "mark, .headline",
    "intent_slots": ".marked",
    "hierarchical_classification": ".paths, .note",
    "similarity": ".scale i",
    "ranking": ".ranking .rank",
    "embedding": ".map circle",
    "token_embedding": ".tokens span",
    "pair_embedding": ".strip i",
    "fill_mask": "mark.filled",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def address(every_kind: TritonServer) -> Iterator[str]:
    with gateway(every_kind.grpc_address) as url:
        yield url


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1240, "height": 900}, locale="en-US")
    opened = context.new_page()
    faults = faults_of(opened)
    yield opened
    context.close()
    assert faults == []


def ask(page: Any, kind: str) -> None:
    """Type an item of the kind and ask."""
    *_, item = items_of(kind)[:3]
    texts = ["\n".join(json.loads(part)) if part.startswith("[") else part for part in item]
    texts = ["\n".join(TEXTS)] if kind == "embedding" else texts
    page.locator("textarea").first.wait_for()
    for field, text in zip(page.locator("textarea").all(), texts, strict=True):
        field.fill(text)
    page.locator("textarea").first.press("Control+Enter")
    page.locator(".timing").wait_for()


def test_each_kind_is_drawn(page: Any, address: str) -> None:
    page.goto(address)
    assert set(TASK_OF) == set(DRAWN)
    for kind, task in TASK_OF.items():
        page.get_by_role("link", name=task, exact=True).click()
        page.locator("h1").wait_for()
        ask(page, kind)
        assert page.locator(".panel").locator(DRAWN[kind]).count() > 0, kind
        assert page.locator(".alert").count() == 0, kind


@pytest.mark.timing
@pytest.mark.slow
def test_the_first_paint_is_quick(browser: Any, address: str) -> None:
    milliseconds = []
    for _ in range(6):  # each with an empty cache; the first also waits for the browser's own start
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        page.locator("textarea").first.wait_for()
        milliseconds.append(page.evaluate("performance.getEntriesByName('first-paint')[0].startTime"))
        context.close()
    assert min(milliseconds) < 300, milliseconds


def test_the_request_is_shown_as_code_that_works(page: Any, address: str) -> None:
    page.goto(f"{address}/#/alike")
    page.locator("textarea").first.fill("it's 今天")
    page.locator("#tab-request").click()
    assert "it'\\''s 今天" in page.locator("pre.code").inner_text()
    for language in ("Python", "JavaScript"):
        page.locator(f"#code-{language}").click()
        assert f"{address}/v1/tasks/alike" in page.locator("pre.code").inner_text()


def test_a_file_becomes_a_table_to_download(page: Any, address: str, tmp_path: Path) -> None:
    rows = '\ufefftext,id\r\n"今天,天气""好""[MASK]",1\r\n,2\r\n' + "".join(
        f"第{n}天[MASK],{n}\r\n" for n in range(3, 60)
    )
    (tmp_path / "in.csv").write_text(rows, encoding="utf-8")
    page.goto(f"{address}/#/blank")
    page.locator("#tab-file").click()
    page.locator("input[type=file]").set_input_files(tmp_path / "in.csv")
    page.get_by_role("button", name="Ask about all").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    written = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert download.value.suggested_filename == "in-answers.csv"
    assert written[0] == "\ufefftext,id,answer,score"
    assert written[1].startswith('"今天,天气""好""[MASK]",1,')
    assert "the text is empty" in written[2]
    assert len(written) == 60
    assert "1 could not be answered" in page.locator(".panel").inner_text()


def test_errors_and_a_server_that_is_down_are_said(browser: Any, address: str) -> None:
    page = browser.new_page(locale="en-US")  # the console tells each refusal, so no check of that here
    page.goto(f"{address}/#/alike")
    page.locator("textarea").first.fill("")
    page.locator("textarea").last.fill("b")
    page.locator(".primary").click()
    assert "text is empty" in page.locator(".alert").inner_text()
    with gateway("127.0.0.1:1") as url:
        page.goto(url)
        page.get_by_text("No Triton server answers yet.").wait_for()
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("The gateway does not answer.").wait_for()
    page.close()


@pytest.mark.parametrize(("width", "scheme", "locale"), [(390, "light", "zh-CN"), (1240, "dark", "en-US")])
def test_narrow_dark_and_chinese_are_accessible(
    browser: Any, address: str, width: int, scheme: str, locale: str
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, locale=locale, reduced_motion="reduce"
    )
    page = context.new_page()
    faults = faults_of(page)
    page.goto(f"{address}/#/reading")
    ask(page, "question_answering")
    assert page.locator("html").get_attribute("lang") == ("zh-CN" if locale == "zh-CN" else "en")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
    bright = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every((v) => v > 128)")
    assert bright == (scheme == "light")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint > 0
    page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    assert [f"{v['id']}: {v['nodes'][0]['html']}" for v in found if v["impact"] in ("serious", "critical")] == []
    context.close()
    assert faults == []


def test_the_keyboard_is_enough(page: Any, address: str) -> None:
    page.goto(f"{address}/#/alike")
    page.locator("h1").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("今天")
    page.keyboard.press("Tab")
    page.keyboard.type("昨天")
    page.keyboard.press("Control+Enter")
    page.locator(".scale").wait_for()
    page.locator("#tab-drawn").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tab-details").get_attribute("aria-selected") == "true"
    assert '"score"' in page.locator("pre.code").inner_text()


@pytest.fixture(scope="module")
def vectors(every_kind: TritonServer) -> np.ndarray:
    with Client(every_kind.grpc_address) as client:
        return client.embed("vector", TEXTS)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_openai_s_client_gets_the_vectors(address: str, vectors: np.ndarray, encoding: Any) -> None:
    openai = pytest.importorskip("openai", reason="the Python package openai is not installed")
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none") as client:
        assert "vector" in [model.id for model in client.models.list()]
        reply = client.embeddings.create(model="vector", input=TEXTS, encoding_format=encoding)
        plain = client.embeddings.create(model="vector", input=TEXTS[0], dimensions=8)
        with pytest.raises(openai.UnprocessableEntityError, match=r"input\[1\]: the text is empty"):
            client.embeddings.create(model="vector", input=["a", ""])
        with pytest.raises(openai.NotFoundError, match="no task 'text-embedding-3-small'"):
            client.embeddings.create(model="text-embedding-3-small", input="a")
    data = [one.embedding for one in reply.data]
    if encoding == "base64":
        data = [np.frombuffer(base64.b64decode(one), "<f4") for one in data]
    assert np.allclose(data, vectors, atol=1e-6)
    assert reply.usage.prompt_tokens > 0
    cut = vectors[0, :8] / np.linalg.norm(vectors[0, :8])
    assert np.allclose(plain.data[0].embedding, cut, atol=1e-6)


def test_langchain_s_embeddings_get_the_vectors(address: str, vectors: np.ndarray) -> None:
    langchain = pytest.importorskip("langchain_openai", reason="the Python package langchain-openai is not installed")
    embeddings = langchain.OpenAIEmbeddings(
        model="vector", base_url=f"{address}/v1", api_key="none", check_embedding_ctx_length=False
    )
    assert np.allclose(embeddings.embed_documents(TEXTS), vectors, atol=1e-6)


def test_the_example_for_langchain(every_kind: TritonServer) -> None:
    pytest.importorskip("langchain_core", reason="the Python package langchain-core is not installed")
    example = Path(__file__).parents[2] / "clients" / "examples" / "langchain_embeddings.py"
    environment = {**os.environ, "ERNIE_TRITON_URL": every_kind.grpc_address}
    command = [sys.executable, str(example), "借呗的利息怎么算", "vector"]
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 3
    assert lines[0] == "1.000  借呗的利息怎么算"


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_documents_are_ranked(every_kind: TritonServer, address: str, path: str) -> None:
    documents = ["怎么关闭花呗", "花呗可以提前还清吗", "今天天气很好"]
    with Client(every_kind.grpc_address) as client:
        (expected,) = client.rank("search", [("花呗怎么提前还款", documents)])
    sent = [documents[0], *({"text": document} for document in documents[1:])]
    body = {"model": "search", "query": "花呗怎么提前还款", "documents": sent}
    reply = httpx.post(address + path, json={**body, "top_n": 2, "return_documents": True}).json()
    assert [(one["index"], one["document"]["text"]) for one in reply["results"]] == [
        (one.index, one.text) for one in expected.ranking[:2]
    ]
    assert reply["results"][0]["relevance_score"] == expected.ranking[0].score
    assert "document" not in httpx.post(address + path, json=body).json()["results"][0]


def test_examples_of_the_openapi_document_are_answered(address: str) -> None:
    document = httpx.get(f"{address}/openapi.json").json()
    content = document["paths"]["/v1/tasks/{task}"]["post"]["requestBody"]["content"]["application/json"]
    asked = {name: example["value"] for name, example in content["examples"].items() if example["value"]["inputs"]}
    assert {"vector", "blank"} <= set(asked)
    for task, body in asked.items():
        assert httpx.post(f"{address}/v1/tasks/{task}", json=body).status_code == 200
    embed = document["paths"]["/v1/embeddings"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert httpx.post(f"{address}/v1/embeddings", json=embed).status_code == 200


def test_the_openapi_document_holds(address: str) -> None:
    """Schemathesis: bodies that fit and bodies that do not; statuses, types and shapes are the documented ones."""
    schemathesis = pytest.importorskip("schemathesis", reason="the Python package schemathesis is not installed")
    from hypothesis import HealthCheck, given, settings
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    checked = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def hold(case: Any) -> None:
            response = case.call()
            assert response.status_code < 500
            case.validate_response(response, excluded_checks=[positive_data_acceptance])  # a task may want other texts

        hold()
        checked += 1
    assert checked >= 9
