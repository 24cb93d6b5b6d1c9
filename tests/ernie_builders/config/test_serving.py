"""The table [tasks.X.serving]: faults that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from ernie_builders.config.serving import ServingConfig
from ernie_builders.errors import ConfigError

from ..places import Place, copied


@pytest.mark.parametrize(
    "wrong", [{"slo_ms": -2}, {"queue_size": -5}, {"call_tokens": -2}, {"instances": 0}, {"portable_tokens": 0}]
)
def test_faulty_values_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=rf"serving.{next(iter(wrong))} is -?\d+"):
        ServingConfig(**wrong)


def test_a_misspelt_field(finished: Place, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    place = copied(finished, tmp_path)
    tasks = tmp_path / "tasks.toml"
    tasks.write_text(place.tasks_file.read_text(encoding="utf-8") + "\n[tasks.topics.serving]\nqueue = 3\n", "utf-8")
    assert place.build("--tasks-file", str(tasks)) != 0
    assert "tasks.topics.serving: unknown field 'queue'; known are slo_ms, queue_size" in capsys.readouterr().err
