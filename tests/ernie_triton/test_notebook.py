"""Answers as HTML and as JSON: spans where they are, everything escaped."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from ernie_triton import RawResult, Results, TextError
from ernie_triton.notebook import SHOWN, list_html, marked, result_html
from ernie_triton.results import numeric_outputs, parse_result

from .test_results import KINDS, SIZE

HOSTILE = '<script>alert("&")</script>'


class Text(HTMLParser):
    """The text of HTML, and its elements that are open at the end."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.open, self.seen = "", list[str](), set[str]()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_well_formed_and_escaped(kind: str) -> None:
    """With and without the texts as sent; each string of RESULT hostile in its turn."""
    raw = json.loads(json.dumps({**KINDS[kind][0], **SIZE}).replace("明", "OK"))
    numeric = {name: np.zeros(2, np.float32) for name in numeric_outputs(kind)}
    inputs = {"question_answering": 2, "pair_classification": 2, "similarity": 2, "pair_embedding": 2, "ranking": 2}
    sent = (HOSTILE,) * inputs.get(kind, 1)
    for hostile in (raw, json.loads(re.sub(r'"(a|b|PER|OK|call|name|京)"', json.dumps(HOSTILE), json.dumps(raw)))):
        for texts in ((), sent):
            page = Text(parse_result(kind, hostile, numeric, texts)._repr_html_())
            assert page.open == [] and "script" not in page.seen
            if texts and "hierarchical" not in kind and hostile is raw:
                assert page.text.replace("OK", "").replace("PER", "")


def test_spans_stand_in_their_text() -> None:
    spans = [
        {"label": "ORG", "start": 5, "end": 7, "score": 0.5},
        {"label": "PER", "start": 0, "end": 3, "score": 0.98},
        {"label": "LOC", "start": 2, "end": 4, "score": 0.5},  # overlaps
    ]
    html = marked("王小明在<北大>", spans)
    assert Text(html).text == "王小明PER在<北大ORG>"
    assert 'title="PER 0.98"' in html and "LOC" not in html
    as_javascript = [{"label": "PER", "start": 2, "end": 5, "score": 0.98}]
    assert Text(marked("😀王小明在", as_javascript, utf16=True)).text == "😀王小明PER在"
    corrected = [{"slot": "singer", "text": "周董", "value": "周杰伦", "start": 0, "end": 2, "score": 1.0}]
    assert 'title="singer 1.00 = 周杰伦"' in marked("周董", corrected, "slot")


def test_a_tree_is_nested_and_an_answer_marked() -> None:
    labels = [{"label": "灾害", "level": 1, "score": 0.9}, {"label": "灾害##地震", "level": 2, "score": 0.8}]
    html = result_html({"labels": labels, "paths": [["灾害", "地震"]]}, ("震了",))
    assert re.search(r"<li>灾害 <small[^>]*>0\.90</small><ul[^>]*><li>地震 <small[^>]*>0\.80", html)
    answer = {"answers": [{"text": "北京", "start": 4, "end": 6, "score": 0.7}], "no_answer_score": 0.1}
    assert re.search(r"中国首都<span[^>]*>北京</span>市", result_html(answer, ("首都?", "中国首都北京市")))


def test_what_has_no_form_is_shown_as_json() -> None:
    assert "{&quot;verse&quot;: 1}" in RawResult({"verse": 1})._repr_html_()
    assert "&quot;entities&quot;" in result_html({"entities": [{"label": "of another shape"}]})
    assert "&lt;b&gt;" in TextError(1, "<b>")._repr_html_()


def test_a_list_of_answers() -> None:
    results = Results([RawResult({"n": 1}), TextError(1, "the text is empty")])
    assert results == list(results) and isinstance(results, list)
    assert [json.loads(line) for line in results.to_json().splitlines()] == [{"n": 1}, results[1].raw]
    html = Results([RawResult({"n": n}) for n in range(SHOWN + 7)])._repr_html_()
    assert html.count("<code>") == SHOWN and "and 7 more" in html
    assert list_html(iter(()), 0) == ""


def test_json_has_the_vectors() -> None:
    vector = np.array([0.5, 1.0], np.float32)
    result = parse_result("embedding", {**SIZE, "dimension": 2}, {"EMBEDDING": vector}, ("好",))
    assert json.loads(result.to_json()) == {**SIZE, "dimension": 2, "vector": [0.5, 1.0]}
    assert "vector: 2 numbers" in result._repr_html_() and "好" in result._repr_html_()
