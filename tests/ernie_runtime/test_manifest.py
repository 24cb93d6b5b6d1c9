"""The manifest survives its file, and says in one line what is wrong with one that does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ernie_runtime.errors import ManifestError
from ernie_runtime.manifest import SCHEMA, Label, Manifest
from ernie_runtime.repository import newest_version, versions

MakeManifest = Callable[..., Manifest]


def test_round_trip(make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest = make_manifest(
        labels=("O", ("B-PER", "人名")),
        options={"threshold": 0.5, "tree": {"a": ["b"]}},
        made_by={"版本": "1"},
    )
    path = tmp_path / "manifest.json"
    path.write_text(manifest.to_json(), encoding="utf-8")
    loaded = Manifest.load(path)
    assert loaded == manifest and loaded.to_json() == manifest.to_json()
    assert loaded.labels[1] == Label("B-PER", "人名") and loaded.examples == (("今天",), ("明天",))
    assert "人名" in path.read_text(encoding="utf-8") and path.read_bytes().endswith(b"}\n")
    assert loaded.schema == SCHEMA


def test_variant(make_manifest: MakeManifest) -> None:
    manifest = make_manifest()
    assert manifest.variant("fp32") is manifest.variants[0]
    with pytest.raises(ManifestError, match="task toy has no variant 'int8'; it has fp32"):
        manifest.variant("int8")


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda raw: raw.pop(name)


def setting(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda raw: raw.update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *((without(n), f"field '{n}' is missing") for n in ("labels", "limits", "variants")),
        *((without(n), f"Manifest missing .*'{n}'") for n in ("task", "kind", "recommended", "main_metric")),
        (setting(colour="red"), "Manifest got an unexpected .*'colour'"),
        (setting(schema=SCHEMA + 1), f"schema {SCHEMA + 1} is not {SCHEMA}: publish the task again"),
        (setting(schema=SCHEMA + 1, labels={"of": "the future"}), f"schema {SCHEMA + 1} is not {SCHEMA}"),
        (lambda raw: (raw.clear(), raw.update(schema=99)), f"schema 99 is not {SCHEMA}"),
        (without("schema"), "schema None"),
        (setting(recommended="int8"), "recommended variant 'int8' is none of fp32"),
        (setting(variants=[]), "recommended variant 'fp32' is none of no variants"),
        (setting(labels=[{"id": "a", "name": "x"}] * 2), "two labels have the same id"),
        (setting(labels=[{"id": "a"}]), "Label missing .*'name'"),
        (setting(labels=["a"]), "Label.* must be a mapping"),
        (setting(labels=7), "not iterable"),
        (lambda raw: raw["limits"].pop("doc_stride"), "Limits missing .*'doc_stride'"),
        (lambda raw: raw["limits"].update(max_length=2), "max_length 2 is outside"),
        (lambda raw: raw["limits"].update(max_length="128"), "max_length '128' is not a whole number"),
        (lambda raw: raw["limits"].update(overflow="cut"), "overflow 'cut' is none of"),
        (setting(limits=None), "Limits.* must be a mapping"),
        (lambda raw: raw["variants"][0].pop("evaluations"), "field 'evaluations' is missing"),
        (lambda raw: raw["variants"][0].pop("engine"), "Variant missing .*'engine'"),
        (lambda raw: raw["variants"][0]["evaluations"][0].pop("rows"), "Evaluation missing .*'rows'"),
        (setting(variants=[3]), "mapping"),
        (setting(examples=None), "not iterable"),
    ],
)
def test_faults(
    make_manifest: MakeManifest, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    raw = json.loads(make_manifest().to_json())
    change(raw)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ManifestError, match=message) as caught:
        Manifest.load(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert "__init__" not in str(caught.value)


def test_all_faults_at_once(make_manifest: MakeManifest) -> None:
    raw = json.loads(make_manifest().to_json())
    raw["limits"] = {"max_length": 2, "doc_stride": 0, "overflow": "cut", "max_chars": 0}
    raw["labels"], raw["examples"] = 7, None
    del raw["variants"]
    with pytest.raises(ManifestError) as caught:
        Manifest.from_json(json.dumps(raw))
    found = (
        "not iterable",
        "max_length 2",
        "doc_stride 0",
        "overflow 'cut'",
        "max_chars 0",
        "'variants'",
        "not iterable",
    )
    assert len(caught.value.lines) == len(found)
    assert all(message in line for message, line in zip(found, caught.value.lines, strict=True))
    assert all(line.startswith("manifest.json: ") for line in caught.value.lines)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "expected a JSON object"),
        (b"null", "expected a JSON object"),
        ("{}".encode("utf-16"), "cannot be read"),
        (None, "no such file; publish the task again"),
    ],
)
def test_files_that_are_no_manifest(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "manifest.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ManifestError, match=message) as caught:
        Manifest.load(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_a_folder_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        Manifest.load(tmp_path)


def test_versions(tmp_path: Path) -> None:
    model = tmp_path / "T_tokenizer"
    assert versions(model) == []
    with pytest.raises(ManifestError, match="T_tokenizer: no version directory"):
        newest_version(model)
    for name in ("2", "10", "9", "0", "01", "configs", "1.5", "-1", "²", "１２"):
        (model / name).mkdir(parents=True)
    (model / "11").write_text("a file, not a folder")
    assert versions(model) == [2, 9, 10]
    assert newest_version(model) == model / "10"
