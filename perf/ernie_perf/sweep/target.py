"""The server that is measured: its statistics, metrics and models, over HTTP."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import TargetError

TIMEOUT = 30.0
QUIET_SECONDS = 8  # without a finished batch; one of a thousand rows takes seconds on a CPU
COUNTERS = ("queue", "compute_input", "compute_infer", "compute_output")
PADDING = {"ernie_real_tokens_total": "real_tokens", "ernie_padding_tokens_total": "padding_tokens"}
_LINE = re.compile(r"(?P<name>\w+)\{(?P<labels>[^}]*)\}\s+(?P<value>\S+)")


@dataclass(frozen=True)
class Target:
    """Addresses host:port; metrics: empty where they cannot be read; pid: of tritonserver's guard, where it is ours."""

    grpc: str
    http: str
    metrics: str = ""
    pid: int | None = None

    def steps(self, model: str) -> tuple[str, ...]:
        """The models an ensemble is made of, in its order; the model itself where it is none."""
        steps = self.config(model).get("ensemble_scheduling", {}).get("step", [])
        return tuple(step["model_name"] for step in steps) or (model,)

    def config(self, model: str) -> dict[str, Any]:
        """A model's configuration as the server has it."""
        return self._json(f"v2/models/{model}/config")

    def manifest(self, model: str) -> str:
        """The manifest that an ensemble carries, as JSON. Errors: TargetError where the model is no task's."""
        parameter = self.config(model).get("parameters", {}).get("manifest")
        if parameter is None:
            raise TargetError(f"{model}: carries no manifest, so it is no task's ensemble")
        text: str = parameter["string_value"]
        return text

    def server(self) -> dict[str, Any]:
        """Name, version and extensions."""
        return self._json("v2")

    def statistics(self, models: Sequence[str]) -> dict[str, dict[str, int]]:
        """Triton's counters so far of each model: inferences, executions, and ns of each part."""
        return {model: _counters(self._json(f"v2/models/{model}/stats")) for model in models}

    def padding(self, models: Sequence[str]) -> dict[str, int]:
        """Real and padding tokens that the models have run so far; empty where the server has no such metrics."""
        if not self.metrics:
            return {}
        return read_padding(self._get(self.metrics, "metrics").decode("utf-8", "replace"), models)

    def settle(self, models: Sequence[str], patience: float = 120.0) -> None:
        """Wait until the models have nothing left to do: what a failed measurement left in their queues."""
        end, before, same = time.monotonic() + patience, self.statistics(models), 0
        while same < QUIET_SECONDS and time.monotonic() < end:
            time.sleep(1.0)
            now = self.statistics(models)
            same, before = (same + 1 if now == before else 0), now

    def _json(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._get(self.http, path))
        return found

    def _get(self, address: str, path: str) -> bytes:
        try:
            with urllib.request.urlopen(f"http://{address}/{path}", timeout=TIMEOUT) as reply:
                body: bytes = reply.read()
                return body
        except urllib.error.HTTPError as error:
            raise TargetError(
                f"http://{address}/{path}: {error.code} {error.read().decode('utf-8', 'replace')}"
            ) from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise TargetError(f"http://{address}/{path}: no answer ({reason}); is the server running?") from None


def _counters(reply: Mapping[str, Any]) -> dict[str, int]:
    total = dict.fromkeys(("inferences", "executions", "requests", "failures", *(f"{n}_ns" for n in COUNTERS)), 0)
    for row in reply["model_stats"]:
        inference = row["inference_stats"]
        total["inferences"] += row["inference_count"]
        total["executions"] += row["execution_count"]
        total["requests"] += inference["success"]["count"]
        total["failures"] += inference["fail"]["count"]
        for name in COUNTERS:
            total[f"{name}_ns"] += inference[name]["ns"]
    return total


def read_padding(text: str, models: Sequence[str]) -> dict[str, int]:
    """Sums of the two counters over the models, from Prometheus' text format."""
    total: dict[str, int] = {}
    for line in _LINE.finditer(text):
        label = re.search(r'model="([^"]*)"', line["labels"])
        if line["name"] in PADDING and label and label[1] in models:
            name = PADDING[line["name"]]
            total[name] = total.get(name, 0) + int(float(line["value"]))
    return total


def stage_times(
    before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]]
) -> list[dict[str, Any]]:
    """What each model did between two readings: ns an inference of each part, executions, average batch.

    Triton counts the time of a batch once for each request in it, so a part is what a request saw of it.
    """
    stages = []
    for model, now in after.items():
        delta = {name: value - before[model][name] for name, value in now.items()}
        count = max(1, delta["requests"])
        stage: dict[str, Any] = {"model": model, "inferences": delta["inferences"], "executions": delta["executions"]}
        stage["batch"] = round(delta["inferences"] / max(1, delta["executions"]), 2)
        stage["failures"] = delta["failures"]
        stage.update({f"{name.removeprefix('compute_')}_ns": round(delta[f"{name}_ns"] / count) for name in COUNTERS})
        stages.append(stage)
    return stages
