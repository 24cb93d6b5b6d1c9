"""The gateway's page in a real Chromium before the real server: each kind once, errors, narrow, dark, in Chinese."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from ernie_serve.server import TritonServer

from .browser import chromium, faults_of
from .gateways import gateway
from .kinds import TASK_OF, items_of

pytestmark = pytest.mark.e2e
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
def address(browser: Any, every_kind: TritonServer) -> Iterator[str]:
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
    texts = ["今天天气很好\n股市大涨\n球队赢了"] if kind == "embedding" else texts
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


def test_errors_and_a_server_that_is_down_are_said(browser: Any, page: Any, address: str) -> None:
    page.goto(f"{address}/#/alike")
    page.locator("textarea").first.fill("")
    page.locator("textarea").last.fill("b")
    page.locator(".primary").click()
    assert "text is empty" in page.locator(".alert").inner_text()
    other = browser.new_page()
    with gateway("127.0.0.1:1") as url:
        other.goto(url)
        other.get_by_text("No Triton server answers yet.").wait_for()
        assert other.get_by_role("button", name="Try again").is_visible()
    other.get_by_role("button", name="Try again").click()
    other.get_by_text("The gateway does not answer.").wait_for()
    other.close()
    page.evaluate("console.clear()")


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
