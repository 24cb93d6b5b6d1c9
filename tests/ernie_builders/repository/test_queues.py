"""The table [tasks.X.serving], written into configurations."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from ernie_builders.config.serving import QUEUE_SIZE, SLO, ServingConfig
from ernie_builders.lint.repository import lint
from ernie_builders.repository.queues import bound_queues, set_instances

from ..places import Place, copied

HOUR = 3_600_000_000  # microseconds


def bounded(serving: ServingConfig, backend: str = "onnxruntime", rate: float = 0.0) -> Any:
    config = pb.ModelConfig(backend=backend)
    config.dynamic_batching.SetInParent()
    bound_queues(config, serving, rate)
    return config.dynamic_batching


def test_no_bounds_by_default() -> None:
    """A queue policy of any kind makes Triton's batcher sleep while requests wait."""
    assert not bounded(ServingConfig()).HasField("default_queue_policy")
    assert not bounded(ServingConfig()).priority_levels


@pytest.mark.parametrize(
    ("backend", "parameters", "policy"),
    [("ernie_pipeline", {SLO: "400"}, False), ("onnxruntime", {}, True), ("ernie_tokenizer", {}, True)],
)
def test_a_whole_task_refuses_requests_itself(backend: str, parameters: dict[str, str], policy: bool) -> None:
    config = pb.ModelConfig(backend=backend)
    config.dynamic_batching.SetInParent()
    bound_queues(config, ServingConfig(slo_ms=400), 500)
    assert {name: value.string_value for name, value in config.parameters.items()} == parameters
    assert config.dynamic_batching.HasField("default_queue_policy") == policy


def test_one_bound_sets_the_defaults_of_the_others() -> None:
    batching = bounded(ServingConfig(priorities=True))
    assert batching.default_queue_policy.max_queue_size == QUEUE_SIZE
    assert batching.default_queue_policy.default_timeout_microseconds == HOUR
    assert batching.default_queue_policy.allow_timeout_override


@pytest.mark.parametrize(
    ("serving", "rate", "size", "timeout"),
    [
        (ServingConfig(slo_ms=400), 0, 256, 200),
        (ServingConfig(slo_ms=400), 500, 100, 200),
        (ServingConfig(slo_ms=400), 10, 32, 200),
        (ServingConfig(slo_ms=400, queue_size=7, timeout_ms=50), 500, 7, 50),
        (ServingConfig(timeout_ms=50), 500, 256, 50),
    ],
)
def test_bounds(serving: ServingConfig, rate: float, size: int, timeout: int) -> None:
    policy = bounded(serving, rate=rate).default_queue_policy
    assert (policy.max_queue_size, policy.default_timeout_microseconds) == (size, 1000 * timeout)
    assert policy.timeout_action == policy.REJECT
    assert list(bounded(serving, rate=rate).preferred_batch_size) == [32]


@pytest.mark.parametrize(
    ("serving", "rate", "slo"),
    [
        (ServingConfig(slo_ms=-1), 400, 2600),
        (ServingConfig(slo_ms=-1), 9000, 2000),
        (ServingConfig(slo_ms=-1), 3, 10_000),
        (ServingConfig(slo_ms=-1), 0, 5_000),
        (ServingConfig(slo_ms=0), 400, 0),
        (ServingConfig(slo_ms=70), 400, 70),
        (ServingConfig(queue_size=9, slo_ms=-1), 400, -1),
    ],
)
def test_the_slo_follows_from_the_speed(serving: ServingConfig, rate: float, slo: int) -> None:
    assert serving.with_slo(rate).slo_ms == slo


@pytest.mark.parametrize(
    ("model", "counts"),
    [
        ({"backend": "onnxruntime"}, [3]),
        ({"backend": "ernie_pipeline"}, [3]),
        ({"backend": "ernie_tokenizer"}, []),
        ({"platform": "ensemble"}, []),
    ],
)
def test_instances_of_models_that_compute(model: dict[str, str], counts: list[int]) -> None:
    """By default Triton would start two `onnxruntime` processes, which would share the cores."""
    config = pb.ModelConfig(**model)
    set_instances(config, ServingConfig(instances=3))
    assert [group.count for group in config.instance_group] == counts


def test_instances_of_the_portable_configuration() -> None:
    """Each has one thread, so there are two by default."""
    config = pb.ModelConfig(backend="onnxruntime")
    set_instances(config, ServingConfig(instances=3), portable=True)
    assert [group.count for group in config.instance_group] == [2]


def test_priorities() -> None:
    batching = bounded(ServingConfig(slo_ms=400, priorities=True))
    assert (batching.priority_levels, batching.default_priority_level) == (2, 1)
    bulk = batching.priority_queue_policy[2]
    assert bulk.max_queue_size == 256 and bulk.default_timeout_microseconds == HOUR


def test_postprocessing_refuses_nothing() -> None:
    batching = bounded(ServingConfig(slo_ms=400, priorities=True), "ernie_postprocess")
    assert not batching.HasField("default_queue_policy") and not batching.preferred_batch_size
    assert batching.priority_levels == 2


def test_ensembles_have_no_queue() -> None:
    config = pb.ModelConfig(platform="ensemble")
    bound_queues(config, ServingConfig(slo_ms=400))
    assert not config.HasField("dynamic_batching")


def test_published(finished: Place, tmp_path: Any) -> None:
    place = copied(finished, tmp_path)
    text = place.tasks_file.read_text(encoding="utf-8")
    tasks = tmp_path / "tasks.toml"
    serving = (
        "\n[tasks.topics.serving]\nslo_ms = 600\nqueue_size = 40\npriorities = true\ncall_tokens = 11\n"
        "portable_instances = 3\nportable_tokens = 2000\n"
    )
    tasks.write_text(text + serving, encoding="utf-8")
    assert place.build("--tasks-file", str(tasks)) == 0
    for file in ("config.pbtxt", "configs/ragged.pbtxt", "configs/tensorrt.pbtxt"):
        config_text = (place.output / "topics_encoder_fp32" / file).read_text(encoding="utf-8")
        config = text_format.Parse(config_text, pb.ModelConfig())
        assert config.dynamic_batching.default_queue_policy.max_queue_size == 40
        assert config.dynamic_batching.priority_queue_policy[2].max_queue_size == 40
        assert [group.count for group in config.instance_group] == [3 if file == "config.pbtxt" else 1]
        if "ragged" in file:
            assert config.parameters["call_tokens"].string_value == "11"
    rows = {}
    for model in ("topics", "topics_fp32", "topics_encoder_fp32"):
        for file in ("config.pbtxt", "configs/ragged.pbtxt"):
            text = (place.output / model / file).read_text(encoding="utf-8")
            rows[model, file] = text_format.Parse(text, pb.ModelConfig()).max_batch_size
    assert set(rows.values()) == {62, 256}  # 2000 tokens are 62 rows of 32
    assert rows["topics", "config.pbtxt"] == rows["topics_encoder_fp32", "config.pbtxt"] == 62
    assert not lint(place.output)[0]
    assert place.build("--tasks-file", str(tasks)) == 0  # nothing changed, nothing published
    assert [p.name for p in (place.output / "topics_encoder_fp32").iterdir() if p.name.isdigit()] == ["1"]
