"""Lint of a task against its manifest: names, labels, graphs, vocabulary, versions."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from onnx import TensorProto

from .breaks import (
    AGAIN,
    CONFIG,
    ENSEMBLE,
    MANIFEST,
    ONNX,
    Case,
    both,
    config,
    edit,
    graph,
    manifests,
    step,
    tensor,
    write,
)
from .toy_repository import onnx_bytes

CASES: dict[str, Case] = {
    # names, labels and graphs
    "auto-name in a config": Case(
        both(edit(CONFIG, '"logits"', '"linear_85.tmp_1"')),
        CONFIG,
        "output linear_85.tmp_1 is a framework's auto-name",
        "name it at export",
    ),
    "auto-name in a graph": Case(
        graph(output="save_infer_model/scale_0.tmp_0"),
        ONNX,
        "output save_infer_model/scale_0.tmp_0 is a framework's auto-name",
        "name it at export",
    ),
    "name in a graph": Case(graph(output="scores"), ONNX, "output logits is missing, the manifest", AGAIN),
    "dtype in a graph": Case(
        graph(id_type=TensorProto.INT32),
        ONNX,
        "input input_ids is INT32, the manifest (3 labels) asks for INT64",
        AGAIN,
    ),
    "labels in a graph": Case(
        graph(labels=4), ONNX, "output logits has dims [4], the manifest (3 labels) asks for [3]", AGAIN
    ),
    "rank in a graph": Case(
        graph(per_token=True), ONNX, "output logits has dims [-1, 3], the manifest (3 labels) asks for [3]", AGAIN
    ),
    "no graph in the file": Case(write(ONNX, b"\xff\xff\xff\xff"), ONNX, "no ONNX graph", AGAIN),
    "labels in a config": Case(
        tensor(CONFIG, "output", "logits", dims=[4]),
        CONFIG,
        "output logits has dims [4], the manifest (3 labels) asks for [3]",
        AGAIN,
    ),
    "fixed length": Case(
        tensor(CONFIG, "input", "input_ids", dims=[128]),
        CONFIG,
        "input input_ids has dims [128], the manifest (3 labels) asks for [-1]",
        AGAIN,
    ),
    "engine": Case(
        edit(CONFIG, '"onnxruntime"', '"openvino"'),
        CONFIG,
        "backend is 'openvino', the manifest says 'onnxruntime'",
        AGAIN,
    ),
    "variant of an ensemble": Case(
        config(ENSEMBLE, lambda c: setattr(step(1)(c), "model_name", "ner_encoder_fp32")),
        ENSEMBLE,
        "has no step news_encoder_fp32",
        AGAIN,
    ),
    # manifests
    "not JSON": Case(write(MANIFEST, b"{"), MANIFEST, "not JSON", AGAIN),
    "field missing": Case(edit(MANIFEST, '"title"', '"titel"'), MANIFEST, "titel", AGAIN),
    "kind": Case(manifests("sequence_classification", "sequence"), MANIFEST, "'sequence' is none of", "again"),
    "limits": Case(
        manifests('"doc_stride": 24', '"doc_stride": 99'), MANIFEST, "doc_stride 99 is outside 1..30", "again"
    ),
    "size": Case(write(ONNX, onnx_bytes(3, False) + b"\0"), ONNX, "bytes, the manifest says", AGAIN),
    "hash": Case(
        lambda root: write(ONNX, (root / ONNX).read_bytes().replace(b"tiny", b"tinz"))(root),
        ONNX,
        "its sha256 is not the manifest's",
        AGAIN,
    ),
    "vocabulary size": Case(
        manifests('"vocabulary_size": 8000', '"vocabulary_size": 8001'),
        "news_tokenizer/1/tokenizer.json",
        "has 8000 tokens, the manifest says 8001",
        AGAIN,
    ),
    "vocabulary": Case(
        manifests('"vocabulary_sha256": "', '"vocabulary_sha256": "0'),
        "news_tokenizer/1/tokenizer.json",
        "vocabulary_sha256",
        AGAIN,
    ),
    "tokenizer broken": Case(
        write("news_tokenizer/1/tokenizer.json", b"{}"),
        "news_tokenizer/1/tokenizer.json",
        "not a tokenizer.json",
        AGAIN,
    ),
    "manifests differ": Case(
        edit("news_tokenizer/1/manifest.json", '"title": "news', '"title": "old'),
        "news_tokenizer/1/manifest.json",
        "differs from the task's other models of this version",
        AGAIN,
    ),
    "version in the manifest": Case(
        manifests('"version": 1', '"version": 2'), MANIFEST, "says version 2, its directory 1", AGAIN
    ),
    "parameter": Case(
        edit("news_fp32/config.pbtxt", "中国", "中"), "news_fp32/config.pbtxt", "is not 1/manifest.json", AGAIN
    ),
    "newest version": Case(
        lambda root: shutil.copytree(root / "news_tokenizer/1", root / "news_tokenizer/2"),
        "news_postprocess",
        "newest version is 1, the task's is 2",
        AGAIN,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_task_is_found(case: str, lint_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    CASES[case].check(lint_root, capsys)
