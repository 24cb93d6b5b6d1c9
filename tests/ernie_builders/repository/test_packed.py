"""A task with `serving.packed`: its files, lint, and the answers of the real server with that configuration."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tritonclient.grpc import model_config_pb2 as pb

from ernie_builders.lint.repository import lint
from ernie_builders.repository.model_config import from_text, to_text
from ernie_builders.repository.served import ask_server, compare_answers
from ernie_runtime.repository import task_manifest
from ernie_runtime.steps.pipeline import Pipeline
from ernie_serve import ServerOptions, TritonServer

from ...shared import made_once
from ..places import Place, copied

ENCODER = "topics_encoder_fp32/configs/packed.pbtxt"


@pytest.fixture(scope="module")
def published(finished: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Published with packed graphs; copy it before changing it."""

    def build(root: Path) -> None:
        place = copied(finished, root)
        tasks = root / "tasks.toml"
        text = place.tasks_file.read_text(encoding="utf-8")
        tasks.write_text(f"{text}\n[tasks.topics.serving]\npacked = true\n", encoding="utf-8")
        assert place.build("--tasks-file", str(tasks)) == 0

    return replace(finished, root=made_once("packed", build, tmp_path_factory))


def read(place: Place, file: str) -> pb.ModelConfig:
    return from_text((place.output / file).read_text(encoding="utf-8"))


def test_its_files(published: Place) -> None:
    assert not lint(published.output)[0]
    config, portable = read(published, ENCODER), read(published, "topics_encoder_fp32/config.pbtxt")
    assert config.default_model_filename == "packed.onnx"
    assert (published.output / "topics_encoder_fp32" / "1" / "packed.onnx").is_file()
    assert all(tensor.allow_ragged_batch for tensor in config.input)
    (lengths,) = config.batch_input
    assert (list(lengths.source_input), list(lengths.target_name)) == (["input_ids"], ["LENGTHS"])
    assert config.max_batch_size == portable.max_batch_size
    assert config.instance_group[0].count == portable.instance_group[0].count == 2
    assert config.parameters["enable_mem_arena"].string_value == "0"
    assert "buckets" not in read(published, "topics_tokenizer/configs/packed.pbtxt").parameters


def test_the_server_s_answers_are_the_same(published: Place, tmp_path: Path) -> None:
    """Of the stand-in, which gives the graph its inputs as the C++ backend does."""
    items = [("的一不是",), ("的",), ("有人了在用" * 4,)]
    options = ServerOptions(
        repository=published.output,
        http_port=0,
        grpc_port=0,
        metrics_port=0,
        config_name="packed",
        log_file=tmp_path / "log",
    )
    manifest = task_manifest(published.output, "topics")
    offline = [a if isinstance(a, str) else a.result for a in Pipeline.load(published.output, "topics").predict(items)]
    with TritonServer(options) as server:
        served = ask_server(server.grpc_address, "topics", manifest, items)
    assert compare_answers(offline, served, dynamic=False).passed


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda c: c.ClearField("batch_input"), "batch_input is not that of packed.onnx"),
        (lambda c: setattr(c, "default_model_filename", "model.onnx"), "default_model_filename is 'model.onnx'"),
        (lambda c: c.parameters.pop("enable_mem_arena"), "enable_mem_arena is not 0"),
    ],
)
def test_lint(published: Place, tmp_path: Path, change: Callable[[Any], object], problem: str) -> None:
    shutil.copytree(published.output, tmp_path / "models")
    config = read(published, ENCODER)
    change(config)
    (tmp_path / "models" / ENCODER).write_text(to_text(config), encoding="utf-8")
    findings = lint(tmp_path / "models")[0]
    assert any(finding.file == ENCODER and problem in finding.problem for finding in findings), findings
