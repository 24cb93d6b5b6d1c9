"""Options of a reading comprehension task, and the script that its encoder reads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ernie_runtime.errors import ManifestError
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.steps.postprocessor import PostprocessStep
from ernie_runtime.text import script
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..reading import KIND, TRADITIONAL, ManifestOf, engine, pointing

MakeManifest = Callable[..., Manifest]


def test_options_that_make_sense(qa_manifest: ManifestOf, make_manifest: MakeManifest) -> None:
    KIND.check(qa_manifest(max_answer_tokens=13, no_answer_threshold=0, script="t2s"))
    KIND.check(qa_manifest(overflow="truncate", max_answer_tokens=1000))
    KIND.check(make_manifest(KIND.name, (), 256, 128))


@pytest.mark.parametrize("answer", ["車站後面", "週一", "著名的乾隆", "看著頭髮", "18866668888"])
def test_answers_keep_the_script_of_the_context(
    qa_manifest: ManifestOf, tokenizer: ErnieTokenizer, answer: str
) -> None:
    manifest = qa_manifest(max_length=64, doc_stride=16, script="t2s")
    start = TRADITIONAL.index(answer)
    best = pointing(("圖書館在哪裡？", TRADITIONAL), tokenizer, manifest, (start, start + len(answer)))[0]
    assert best["text"] == answer


def test_the_encoder_reads_simplified_characters(qa_manifest: ManifestOf, tokenizer: ErnieTokenizer) -> None:
    items: list[tuple[bytes | str, ...]] = [("圖書館在哪裡？".encode(), TRADITIONAL.encode())]
    manifest = qa_manifest(max_length=64, doc_stride=16, script="t2s")
    (document,), (window,) = KIND.documents(items, tokenizer, manifest)
    encoder_text = "".join(tokenizer.token(i) for i in window.input_ids[1:-1]).replace("##", "")
    assert encoder_text == "图书馆在哪里？[SEP]图书馆在车站后面，周一休馆。著名的乾隆看著头发，电话18866668888。"
    assert document.text == TRADITIONAL


@pytest.fixture
def fresh_converter() -> Iterator[None]:
    for function in (script._converter, script._character):
        function.cache_clear()
    yield
    for function in (script._converter, script._character):
        function.cache_clear()


def test_a_conversion_of_another_length_is_done_by_characters(
    fresh_converter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Phrases:
        def __init__(self, name: str) -> None:
            assert name == "t2s"

        def convert(self, text: str) -> str:
            return text.replace("電腦", "计算机").replace("電", "电").replace("網", "网络")

    monkeypatch.setitem(sys.modules, "opencc", type(sys)("opencc"))
    sys.modules["opencc"].OpenCC = Phrases  # type: ignore[attr-defined]
    assert script.convert("電話", "t2s") == "电話"
    assert script.convert("電腦上網電話", "t2s") == "电腦上網电話"


def test_a_missing_converter_is_reported_when_the_task_is_loaded(
    qa_manifest: ManifestOf,
    tokenizer: ErnieTokenizer,
    tmp_path: Path,
    fresh_converter: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opencc", None)
    KIND.check(qa_manifest())  # other tasks need none
    (tmp_path / "manifest.json").write_text(qa_manifest(script="t2s").to_json(), encoding="utf-8")
    with pytest.raises(ManifestError, match=r"^script t2s needs the package opencc \(.*\): pip install opencc$"):
        PostprocessStep.load(tmp_path, {})
    with pytest.raises(ManifestError, match="opencc"):
        Pipeline(qa_manifest(script="t2s"), tokenizer, engine)
