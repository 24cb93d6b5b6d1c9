"""A repository as the builder writes it has no findings; each way to break it is found, with file and fix."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from builders import triton_config as tc
from builders.lint import lint, main
from builders.warmup import write_warmup
from ernie_runtime.manifest import Label, Limits, Manifest, Variant
from ernie_runtime.steps import strings
from ernie_runtime.tokenization import ErnieTokenizer

VOCABULARY = Path(__file__).parents[2] / "builders/assets/encoder/vocab.txt"
LABELS = {
    "news": ("sequence_classification", ("100", "101", "102")),
    "ner": ("token_classification", ("O", "B-PER", "I-PER")),
}
AGAIN = "publish news again"
CONFIG, RAGGED = "news_encoder_fp32/config.pbtxt", "news_encoder_fp32/configs/ragged.pbtxt"
ONNX = "news_encoder_fp32/1/model.onnx"
Break = Callable[[Path], None]


def onnx_bytes(labels: int, per_token: bool, output: str = "logits", id_type: int = TensorProto.INT64) -> bytes:
    """A graph with the contract's inputs and outputs; nobody runs it."""
    dims = ["batch", "length"]
    ids = [helper.make_tensor_value_info(n, id_type, dims) for n in ("input_ids", "token_type_ids")]
    shape = [*dims, labels] if per_token else ["batch", labels]
    logits = helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)
    node = helper.make_node("Cast", ["input_ids"], [output], to=TensorProto.FLOAT)
    data: bytes = helper.make_model(helper.make_graph([node], "tiny", ids, [logits])).SerializeToString()
    return data


def make_manifest(task: str, tokenizer: ErnieTokenizer, graph: bytes, version: int = 1) -> Manifest:
    kind, labels = LABELS[task]
    variant = Variant("fp32", "onnxruntime", "model.onnx", len(graph), hashlib.sha256(graph).hexdigest(), 0.0)
    return Manifest(
        task=task,
        kind=kind,
        title=f"{task} of 中国",
        version=version,
        labels=tuple(Label(name, f"name {name}") for name in labels),
        limits=Limits(32, 24),
        vocabulary_size=tokenizer.vocab_size,
        vocabulary_sha256=tokenizer.fingerprint,
        variants=(variant,),
        recommended="fp32",
        main_metric="accuracy",
    )


def publish(root: Path, manifest: Manifest, tokenizer: ErnieTokenizer, graph: bytes) -> None:
    """The models of one task."""
    variant, task = manifest.variants[0], manifest.task
    per_token = manifest.kind == "token_classification"
    ids, text = np.ones((1, 5), np.int64), strings(["新闻".encode()])
    logits = np.zeros((1, 5, 3) if per_token else (1, 3), np.float32)
    passed = {"WINDOW": np.array([[0, 5]], np.int32), "ITEM": strings([b"{}"]), "logits": logits}
    if per_token:
        passed["OFFSETS"] = np.zeros((1, 5, 2), np.int32)
    warm: dict[str, dict[str, Any]] = {
        f"{task}_tokenizer": {"TEXT": text},
        f"{task}_encoder_fp32": {"input_ids": ids, "token_type_ids": ids},
        f"{task}_postprocess": passed,
    }
    configs = {
        f"{task}_tokenizer": [tc.tokenizer_config(manifest, ragged) for ragged in (False, True)],
        f"{task}_encoder_fp32": [tc.encoder_config(manifest, variant, ragged) for ragged in (False, True)],
        f"{task}_postprocess": [tc.postprocess_config(manifest, ragged) for ragged in (False, True)],
        task: [tc.ensemble_config(manifest, task, variant)],
        f"{task}_fp32": [tc.ensemble_config(manifest, f"{task}_fp32", variant)],
    }
    for name, flavours in configs.items():
        home = root / name / str(manifest.version)
        home.mkdir(parents=True)
        (home / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
        for config, file in zip(flavours, (tc.PORTABLE, tc.RAGGED), strict=False):
            write_warmup(config, root / name, [warm[name]] if name in warm else [])
            (root / name / file).parent.mkdir(exist_ok=True)
            (root / name / file).write_text(tc.to_text(config), encoding="utf-8")
    tokenizer.save(root / f"{task}_tokenizer" / str(manifest.version) / "tokenizer.json")
    (root / f"{task}_encoder_fp32" / str(manifest.version) / "model.onnx").write_bytes(graph)


@pytest.fixture(scope="module")
def tokenizer() -> ErnieTokenizer:
    return ErnieTokenizer.from_vocab(VOCABULARY)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, tokenizer: ErnieTokenizer) -> Path:
    """A repository of two tasks."""
    root = tmp_path_factory.mktemp("published") / "repository"
    for task in LABELS:
        graph = onnx_bytes(3, task == "ner")
        publish(root, make_manifest(task, tokenizer, graph), tokenizer, graph)
    (root / "README.md").write_text("Generated.\n", encoding="utf-8")
    return root


@pytest.fixture
def root(published: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(published, tmp_path / "repository"))


def edit(file: str, old: str, new: str, count: int = 1) -> Break:
    """Replace text in a file."""

    def change(root: Path) -> None:
        text = (root / file).read_text(encoding="utf-8")
        assert old in text
        (root / file).write_text(text.replace(old, new, count), encoding="utf-8")

    return change


def config(file: str, change: Callable[[Any], object]) -> Break:
    """Change a configuration as a message."""

    def apply(root: Path) -> None:
        message = tc.from_text((root / file).read_text(encoding="utf-8"))
        change(message)
        (root / file).write_text(tc.to_text(message), encoding="utf-8")

    return apply


def tensor(file: str, side: str, name: str, **fields: Any) -> Break:
    """Change fields of one input or output."""

    def change(message: Any) -> None:
        (found,) = (t for t in getattr(message, side) if t.name == name)
        if "dims" in fields:
            found.dims[:] = fields["dims"]
        for field in fields.keys() - {"dims"}:
            setattr(found, field, fields[field])

    return config(file, change)


def write(file: str, content: bytes = b"") -> Break:
    """Write a file, with its folders."""

    def change(root: Path) -> None:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content)

    return change


def remove(file: str) -> Break:
    """Delete a file or a folder."""
    return lambda root: shutil.rmtree(root / file) if (root / file).is_dir() else (root / file).unlink()


def move(old: str, new: str) -> Break:
    return lambda root: shutil.move(root / old, root / new)


def both(*breaks: Break) -> Break:
    """One after the other."""

    def change(root: Path) -> None:
        for step in breaks:
            step(root)

    return change


def graph(**changes: Any) -> Break:
    """Publish the graph of the news encoder changed, with its new size and hash in every manifest."""

    def change(root: Path) -> None:
        old, new = (root / ONNX).read_bytes(), onnx_bytes(**{"labels": 3, "per_token": False} | changes)
        (root / ONNX).write_bytes(new)
        for path in (*root.glob("news*/1/manifest.json"), *root.glob("news*/config.pbtxt")):
            text = path.read_text(encoding="utf-8")
            text = text.replace(f'bytes": {len(old)},', f'bytes": {len(new)},')
            text = text.replace(f'bytes\\": {len(old)},', f'bytes\\": {len(new)},')
            text = text.replace(hashlib.sha256(old).hexdigest(), hashlib.sha256(new).hexdigest())
            path.write_text(text, encoding="utf-8")

    return change


def manifests(old: str, new: str) -> Break:
    """Change all the manifests of the task alike, the ensembles' parameter too."""
    quoted = [text.replace('"', '\\"') for text in (old, new)]
    files = [f"{name}/1/manifest.json" for name in ("news_tokenizer", "news_encoder_fp32", "news_postprocess")]
    ensembles = [both(edit(f"{n}/1/manifest.json", old, new), edit(f"{n}/config.pbtxt", *quoted)) for n in ENSEMBLES]
    return both(*(edit(file, old, new) for file in files), *ensembles)


ENSEMBLES = ("news", "news_fp32")
ENSEMBLE, TOKENIZER, POST = (
    "news/config.pbtxt",
    "news_tokenizer/config.pbtxt",
    "news_postprocess/config.pbtxt",
)
MANIFEST = "news/1/manifest.json"


def step(number: int) -> Callable[[Any], Any]:
    return lambda message: message.ensemble_scheduling.step[number]


CASES: dict[str, tuple[Break, str, str, str]] = {
    # configurations
    "not pbtxt": (edit(CONFIG, "max_batch_size", "max_batch_sizes"), CONFIG, "line 3: no ModelConfig", AGAIN),
    "flavour not pbtxt": (write(RAGGED, b"input {"), RAGGED, "line 1: no ModelConfig", AGAIN),
    "not UTF-8": (write(CONFIG, b"\xff"), CONFIG, "not UTF-8", AGAIN),
    "no config": (remove(CONFIG), CONFIG, "missing", AGAIN),
    "name": (
        edit(RAGGED, "news_encoder_fp32", "news_encoder"),
        RAGGED,
        "name is 'news_encoder'",
        "rename the folder",
    ),
    "no backend": (
        edit(POST, 'backend: "ernie_postprocess"', ""),
        POST,
        "backend is missing",
        "set backend to",
    ),
    "backend": (edit(POST, '"ernie_postprocess"', '"torch"'), POST, "unknown backend 'torch'", "onnxruntime"),
    "platform": (
        edit(POST, 'backend: "ernie_postprocess"', 'platform: "onnxruntime_onnx"'),
        POST,
        "unknown platform 'onnxruntime_onnx'",
        "set backend to",
    ),
    "no ensemble": (
        config(ENSEMBLE, lambda c: c.ClearField("platform")),
        ENSEMBLE,
        "ensemble_scheduling",
        AGAIN,
    ),
    "no batch": (edit(RAGGED, "max_batch_size: 1024", ""), RAGGED, "max_batch_size is 0", AGAIN),
    # files
    "no version": (remove("news_postprocess/1"), "news_postprocess", "no version directory", AGAIN),
    "version no number": (
        move("news/1", "news/v1"),
        "news",
        "no version directory whose name is a number",
        AGAIN,
    ),
    "no graph": (remove(ONNX), ONNX, "missing, config.pbtxt names it", AGAIN),
    "no tokenizer": (
        remove("news_tokenizer/1/tokenizer.json"),
        "news_tokenizer/1/tokenizer.json",
        "missing, config.pbtxt names it",
        AGAIN,
    ),
    "no manifest": (
        remove("news_postprocess/1/manifest.json"),
        "news_postprocess/1/manifest.json",
        "missing",
        AGAIN,
    ),
    "warm-up missing": (
        remove("news_tokenizer/warmup/TEXT_0"),
        "news_tokenizer/warmup/TEXT_0",
        "missing (model_warmup example_0, input TEXT)",
        AGAIN,
    ),
    "warm-up size": (
        write("news_encoder_fp32/warmup/input_ids_0", bytes(39)),
        "news_encoder_fp32/warmup/input_ids_0",
        "39 bytes, TYPE_INT64 [5] takes 40",
        AGAIN,
    ),
    "warm-up strings": (
        write("news_tokenizer/warmup/TEXT_0", b"\x06\0\0\0abc"),
        "news_tokenizer/warmup/TEXT_0",
        "length prefixes end at byte 10 of 7",
        AGAIN,
    ),
    "warm-up string count": (
        write("news_tokenizer/warmup/TEXT_0", b"\x01\0\0\0a\0\0\0\0"),
        "news_tokenizer/warmup/TEXT_0",
        "holds 2 strings, [1] takes 1",
        AGAIN,
    ),
    "warm-up input": (
        config(CONFIG, lambda c: c.model_warmup[0].inputs.pop("input_ids")),
        CONFIG,
        "model_warmup example_0 lacks input input_ids",
        AGAIN,
    ),
    "warm-up dtype": (
        config(CONFIG, lambda c: setattr(c.model_warmup[0].inputs["input_ids"], "data_type", tc.pb.TYPE_INT32)),
        CONFIG,
        "model_warmup gives input input_ids TYPE_INT32 [5]",
        AGAIN,
    ),
    "warm-up unused": (
        write("news/warmup/TEXT_9"),
        "news/warmup/TEXT_9",
        "no model_warmup names it",
        "delete it",
    ),
    # ensembles
    "step missing": (
        both(remove("news_postprocess")),
        ENSEMBLE,
        "step news_postprocess is no model of this repository",
        AGAIN,
    ),
    "step version": (
        config(ENSEMBLE, lambda c: setattr(step(1)(c), "model_version", 7)),
        ENSEMBLE,
        "step news_encoder_fp32 asks for version 7, there is [1]",
        "set model_version -1",
    ),
    "step batch": (
        edit(ENSEMBLE, "max_batch_size: 256", "max_batch_size: 257"),
        ENSEMBLE,
        "max_batch_size 257 is above its step news_tokenizer's 256",
        AGAIN,
    ),
    "no such input": (
        config(ENSEMBLE, lambda c: step(1)(c).input_map.update({"mask": "input_ids"})),
        ENSEMBLE,
        "step news_encoder_fp32 has no input mask",
        AGAIN,
    ),
    "input not mapped": (
        config(ENSEMBLE, lambda c: step(2)(c).input_map.pop("WINDOW")),
        ENSEMBLE,
        "step news_postprocess: its input WINDOW is not mapped",
        AGAIN,
    ),
    "no such output": (
        config(ENSEMBLE, lambda c: step(1)(c).output_map.update({"pooled": "pooled"})),
        ENSEMBLE,
        "step news_encoder_fp32 has no output pooled",
        AGAIN,
    ),
    "unused": (
        config(ENSEMBLE, lambda c: step(2)(c).input_map.pop("WINDOW")),
        ENSEMBLE,
        "tensor WINDOW of news_tokenizer is used by nothing",
        AGAIN,
    ),
    "unused input": (
        config(ENSEMBLE, lambda c: c.input.add(name="MORE", data_type=tc.pb.TYPE_STRING, dims=[1])),
        ENSEMBLE,
        "tensor MORE of ensemble news is used by nothing",
        AGAIN,
    ),
    "undefined": (
        config(ENSEMBLE, lambda c: step(0)(c).output_map.pop("ITEM")),
        ENSEMBLE,
        "tensor ITEM (input ITEM of news_postprocess) is made by nothing",
        AGAIN,
    ),
    "made twice": (
        config(ENSEMBLE, lambda c: step(1)(c).output_map.update({"logits": "ITEM"})),
        ENSEMBLE,
        "tensor ITEM is made by news_tokenizer and news_encoder_fp32",
        AGAIN,
    ),
    "cycle": (
        config(ENSEMBLE, lambda c: step(0)(c).input_map.update({"TEXT": "RESULT"})),
        ENSEMBLE,
        "its steps wait for each other (news_",
        AGAIN,
    ),
    "dims between steps": (
        tensor(POST, "input", "logits", dims=[2]),
        POST,
        "input logits has dims [2], news_encoder_fp32 gives [3]",
        AGAIN,
    ),
    "dims in a flavour": (
        tensor("news_postprocess/configs/ragged.pbtxt", "input", "WINDOW", dims=[3]),
        "news_postprocess/configs/ragged.pbtxt",
        "input WINDOW has dims [3], news_tokenizer gives [2]",
        AGAIN,
    ),
    "rank between steps": (
        tensor("ner_postprocess/config.pbtxt", "input", "logits", dims=[3]),
        "ner_postprocess/config.pbtxt",
        "input logits has dims [3], ner_encoder_fp32 gives [-1, 3]",
        "publish ner again",
    ),
    "dtype between steps": (
        tensor(POST, "input", "WINDOW", data_type=tc.pb.TYPE_INT64),
        POST,
        "input WINDOW is INT64, news_tokenizer gives INT32",
        AGAIN,
    ),
    "dtype into the first step": (
        tensor(TOKENIZER, "input", "TEXT", data_type=tc.pb.TYPE_UINT8),
        TOKENIZER,
        "input TEXT is UINT8, ensemble news gives STRING",
        AGAIN,
    ),
    "dims out of the last step": (
        tensor(POST, "output", "SCORE", dims=[3]),
        ENSEMBLE,
        "output SCORE has dims [1], news_postprocess gives [3]",
        AGAIN,
    ),
    "batch dimension": (
        edit(POST, "max_batch_size: 1024", "max_batch_size: 0"),
        POST,
        "input logits has dims [3] (no batch dimension), news_encoder_fp32 gives [3]",
        AGAIN,
    ),
    "ragged and buckets": (
        config(
            "news_tokenizer/configs/ragged.pbtxt",
            lambda c: setattr(c.parameters["buckets"], "string_value", "16,32"),
        ),
        "news_tokenizer/configs/ragged.pbtxt",
        "parameter buckets pads requests, but news_encoder_fp32 takes ragged ones",
        "remove the parameter",
    ),
    # names, labels and graphs
    "auto-name in a config": (
        both(edit(CONFIG, '"logits"', '"linear_85.tmp_1"')),
        CONFIG,
        "output linear_85.tmp_1 is a framework's auto-name",
        "name it at export",
    ),
    "auto-name in a graph": (
        graph(output="save_infer_model/scale_0.tmp_0"),
        ONNX,
        "output save_infer_model/scale_0.tmp_0 is a framework's auto-name",
        "name it at export",
    ),
    "name in a graph": (graph(output="scores"), ONNX, "output logits is missing, the manifest", AGAIN),
    "dtype in a graph": (
        graph(id_type=TensorProto.INT32),
        ONNX,
        "input input_ids is INT32, the manifest (3 labels) asks for INT64",
        AGAIN,
    ),
    "labels in a graph": (
        graph(labels=4),
        ONNX,
        "output logits has dims [4], the manifest (3 labels) asks for [3]",
        AGAIN,
    ),
    "rank in a graph": (
        graph(per_token=True),
        ONNX,
        "output logits has dims [-1, 3], the manifest (3 labels) asks for [3]",
        AGAIN,
    ),
    "no graph in the file": (write(ONNX, b"\xff\xff\xff\xff"), ONNX, "no ONNX graph", AGAIN),
    "labels in a config": (
        tensor(RAGGED, "output", "logits", dims=[4]),
        RAGGED,
        "output logits has dims [4], the manifest (3 labels) asks for [3]",
        AGAIN,
    ),
    "fixed length": (
        tensor(CONFIG, "input", "input_ids", dims=[128]),
        CONFIG,
        "input input_ids has dims [128], the manifest (3 labels) asks for [-1]",
        AGAIN,
    ),
    "engine": (
        edit(CONFIG, '"onnxruntime"', '"openvino"'),
        CONFIG,
        "backend is 'openvino', the manifest says 'onnxruntime'",
        AGAIN,
    ),
    "variant of an ensemble": (
        config(ENSEMBLE, lambda c: setattr(step(1)(c), "model_name", "ner_encoder_fp32")),
        ENSEMBLE,
        "has no step news_encoder_fp32",
        AGAIN,
    ),
    # manifests
    "not JSON": (write(MANIFEST, b"{"), MANIFEST, "not JSON", AGAIN),
    "field missing": (edit(MANIFEST, '"title"', '"titel"'), MANIFEST, "titel", AGAIN),
    "kind": (manifests("sequence_classification", "sequence"), MANIFEST, "'sequence' is none of", "again"),
    "limits": (
        manifests('"doc_stride": 24', '"doc_stride": 99'),
        MANIFEST,
        "doc_stride 99 is outside 1..30",
        "again",
    ),
    "size": (write(ONNX, onnx_bytes(3, False) + b"\0"), ONNX, "bytes, the manifest says", AGAIN),
    "hash": (
        lambda root: write(ONNX, (root / ONNX).read_bytes().replace(b"tiny", b"tinz"))(root),
        ONNX,
        "its sha256 is not the manifest's",
        AGAIN,
    ),
    "vocabulary size": (
        manifests('"vocabulary_size": 8000', '"vocabulary_size": 8001'),
        "news_tokenizer/1/tokenizer.json",
        "has 8000 tokens, the manifest says 8001",
        AGAIN,
    ),
    "vocabulary": (
        manifests('"vocabulary_sha256": "', '"vocabulary_sha256": "0'),
        "news_tokenizer/1/tokenizer.json",
        "vocabulary_sha256",
        AGAIN,
    ),
    "tokenizer broken": (
        write("news_tokenizer/1/tokenizer.json", b"{}"),
        "news_tokenizer/1/tokenizer.json",
        "not a tokenizer.json",
        AGAIN,
    ),
    "manifests differ": (
        edit("news_tokenizer/1/manifest.json", '"title": "news', '"title": "old'),
        "news_tokenizer/1/manifest.json",
        "differs from the task's other models of this version",
        AGAIN,
    ),
    "version in the manifest": (
        manifests('"version": 1', '"version": 2'),
        MANIFEST,
        "says version 2, its directory 1",
        AGAIN,
    ),
    "parameter": (
        edit("news_fp32/config.pbtxt", "中国", "中"),
        "news_fp32/config.pbtxt",
        "is not 1/manifest.json",
        AGAIN,
    ),
    "newest version": (
        lambda root: shutil.copytree(root / "news_tokenizer/1", root / "news_tokenizer/2"),
        "news_postprocess",
        "newest version is 1, the task's is 2",
        AGAIN,
    ),
    # what does not belong
    "model missing": (remove("news_fp32"), "news_fp32", "the model is missing", AGAIN),
    "leftover variant": (
        lambda root: shutil.copytree(root / "news_encoder_fp32", root / "news_encoder_int8"),
        "news_encoder_int8",
        "belongs to no task here",
        "delete the folder",
    ),
    "no model": (
        write("notes/todo.txt"),
        "notes",
        "no config.pbtxt and no version directory",
        "delete the folder",
    ),
    "hidden folder": (write(".ipynb_checkpoints/a"), ".ipynb_checkpoints", "hidden", "delete it"),
    "hidden file": (write("news/1/.manifest.swp"), "news/1/.manifest.swp", "hidden", "delete it"),
    "staged in": (
        write("news.new/config.pbtxt"),
        "news.new",
        "left over from a publish",
        "delete it, unless",
    ),
    "staged beside": (
        lambda root: (root.parent / f".{root.name}.news.new").mkdir(),
        "../.repository.news.new",
        "left over from a publish",
        "delete it, unless",
    ),
    "file in the root": (write("config.pbtxt"), "config.pbtxt", "a file where models belong", "delete it"),
    "file in a model": (write("news/labels.txt"), "news/labels.txt", "no part of a model", "delete it"),
    "file in configs": (
        write("ner_tokenizer/configs/x.bak"),
        "ner_tokenizer/configs/x.bak",
        "no part",
        "delete it",
    ),
}


def test_what_the_builder_writes_has_no_findings(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lint(root) == ([], [])
    assert main([str(root)]) == 0
    assert capsys.readouterr().out == "findings: 0\n"


def test_several_versions_have_no_findings(root: Path, tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    data = onnx_bytes(3, False)
    second = replace(make_manifest("news", tokenizer, data, version=2), title="again")
    publish(tmp_path / "second", second, tokenizer, data)
    shutil.copytree(tmp_path / "second", root, dirs_exist_ok=True)
    assert lint(root) == ([], [])


@pytest.mark.parametrize("case", CASES)
def test_a_broken_repository_is_found(case: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, file, problem, fix = CASES[case]
    change(root)
    assert main([str(root)]) == 1
    lines = capsys.readouterr().out.splitlines()
    found = [line for line in lines if line.startswith(f"{file}: ") and problem in line]
    assert found, lines
    assert fix in found[0].removeprefix(f"{file}: ")
    assert not any(str(root) in line for line in lines)


def test_one_fault_is_one_finding(root: Path) -> None:
    """Both ensembles run into it."""
    tensor(POST, "input", "logits", dims=[2])(root)
    tensor(POST.replace("config.pbtxt", "configs/ragged.pbtxt"), "input", "logits", dims=[-1])(root)
    tensors = [str(finding) for finding in lint(root)[0] if "model_warmup" not in finding.problem]
    assert tensors == [f"{POST}: input logits has dims [2], news_encoder_fp32 gives [3]: {AGAIN}"]


def test_without_onnx_the_graphs_are_skipped(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    graph(output="x0")(root)
    assert main([str(root)]) == 0
    skipped, count = capsys.readouterr().out.splitlines()
    assert skipped.startswith("skipped: ONNX graphs") and "pip install" in skipped
    assert count == "findings: 0"


def test_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remove(ONNX)(root)
    assert main([str(root), "--json"]) == 1
    finding = {"file": ONNX, "problem": "missing, config.pbtxt names it", "fix": AGAIN}
    report = json.loads(capsys.readouterr().out)
    assert finding in report["findings"]
    assert report["skipped"] == []


def test_a_folder_that_is_no_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "README.md").write_text("nothing yet\n")
    for folder, reason in (
        (tmp_path, "no folder in it holds a config.pbtxt"),
        (tmp_path / "x", "no such folder"),
    ):
        assert main([str(folder)]) == 2
        assert reason in capsys.readouterr().err


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as usage:
        main([])
    assert usage.value.code == 2
    assert "REPO" in capsys.readouterr().err
