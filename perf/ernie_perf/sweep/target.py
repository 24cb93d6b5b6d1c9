"""The server that is measured: its statistics, metrics and models, over HTTP."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.names import MANIFEST_PARAMETER

from ..errors import TargetError
from .description import ServerDescription, from_fields
from .records import PaddingTokens, Stage

HTTP_SECONDS = 30.0
QUIET_SECONDS = 8  # without a finished batch; one of a thousand rows takes seconds on a CPU
REAL_TOKENS, PADDING_TOKENS = "ernie_real_tokens_total", "ernie_padding_tokens_total"
_METRIC = re.compile(r"(?P<name>\w+)\{(?P<labels>[^}]*)\}\s+(?P<value>\S+)")
_MODEL_LABEL = re.compile(r'model="([^"]*)"')


@dataclass(frozen=True, kw_only=True)
class Counters:
    """Triton's statistics of a model since it was loaded. Triton adds a batch's time once for each request in it."""

    inferences: int = 0  # texts
    executions: int = 0
    requests: int = 0
    failures: int = 0
    queue_ns: int = 0
    input_ns: int = 0
    infer_ns: int = 0
    output_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class Target:
    """Addresses are HOST:PORT."""

    grpc: str
    http: str
    metrics: str = ""  # empty where they cannot be read
    pid: int | None = None  # of the process that started tritonserver; None for a server elsewhere

    def step_models(self, model: str) -> tuple[str, ...]:
        """The models of an ensemble, in order; the model itself where it is none."""
        steps = self.model_config(model).get("ensemble_scheduling", {}).get("step", [])
        return tuple(step["model_name"] for step in steps) or (model,)

    def model_config(self, model: str) -> JsonObject:
        """A model's configuration as the server has it, as JSON."""
        return self._json(f"v2/models/{model}/config")

    def manifest(self, model: str) -> str:
        """The manifest that an ensemble carries, as JSON. Errors: TargetError where the model is no task's."""
        parameter = self.model_config(model).get("parameters", {}).get(MANIFEST_PARAMETER)
        if parameter is None:
            raise TargetError(f"{model}: carries no manifest, so it is no task's ensemble")
        text: str = parameter["string_value"]
        return text

    def precision(self, models: Sequence[str]) -> str:
        """What TensorRT computes one of the models in, as its configuration says; empty where TensorRT runs none."""
        for config in map(self.model_config, models):
            if config.get("platform") == "tensorrt_plan":
                return "TensorRT plan"
            accelerators = config.get("optimization", {}).get("execution_accelerators", {})
            for accelerator in accelerators.get("gpu_execution_accelerator", []):
                if accelerator["name"] == "tensorrt":
                    return f"TensorRT {accelerator.get('parameters', {}).get('precision_mode', 'FP32')}"
        return ""

    def describe(self) -> ServerDescription:
        """Name, version and extensions."""
        return from_fields(ServerDescription, self._json("v2"))

    def counters(self, models: Sequence[str]) -> dict[str, Counters]:
        """Triton's statistics of each model."""
        return {model: _counters(self._json(f"v2/models/{model}/stats")) for model in models}

    def padding(self, models: Sequence[str]) -> PaddingTokens | None:
        """Tokens that the models have run so far; None where the server has no such metrics."""
        if not self.metrics:
            return None
        return read_padding(self._get(self.metrics, "metrics").decode("utf-8", "replace"), models)

    def wait_until_idle(self, models: Sequence[str], patience: float = 120.0) -> None:
        """Wait (at most `patience` seconds) until the models have run what a failed measurement left queued."""
        deadline, counters, quiet_seconds = time.monotonic() + patience, self.counters(models), 0
        while quiet_seconds < QUIET_SECONDS and time.monotonic() < deadline:
            time.sleep(1.0)
            before, counters = counters, self.counters(models)
            quiet_seconds = quiet_seconds + 1 if counters == before else 0

    def _json(self, path: str) -> JsonObject:
        document: JsonObject = json.loads(self._get(self.http, path))
        return document

    def _get(self, address: str, path: str) -> bytes:
        url = f"http://{address}/{path}"
        try:
            with urllib.request.urlopen(url, timeout=HTTP_SECONDS) as reply:
                body: bytes = reply.read()
                return body
        except urllib.error.HTTPError as error:
            raise TargetError(f"{url}: {error.code} {error.read().decode('utf-8', 'replace')}") from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise TargetError(f"{url}: no answer ({reason}); is the server running?") from None


def _counters(reply: Json) -> Counters:
    """Sums over the model's versions."""
    versions = reply["model_stats"]
    statistics = [version["inference_stats"] for version in versions]

    def nanoseconds(part: str) -> int:
        return sum(int(parts[part]["ns"]) for parts in statistics)

    return Counters(
        inferences=sum(version["inference_count"] for version in versions),
        executions=sum(version["execution_count"] for version in versions),
        requests=sum(parts["success"]["count"] for parts in statistics),
        failures=sum(parts["fail"]["count"] for parts in statistics),
        queue_ns=nanoseconds("queue"),
        input_ns=nanoseconds("compute_input"),
        infer_ns=nanoseconds("compute_infer"),
        output_ns=nanoseconds("compute_output"),
    )


def read_padding(text: str, models: Sequence[str]) -> PaddingTokens | None:
    """Sums of the two counters over the models, from Prometheus' text format; None where they have neither."""
    totals: dict[str, int] = {}
    for line in _METRIC.finditer(text):
        label = _MODEL_LABEL.search(line["labels"])
        if line["name"] in (REAL_TOKENS, PADDING_TOKENS) and label and label[1] in models:
            totals[line["name"]] = totals.get(line["name"], 0) + int(float(line["value"]))
    if not totals:
        return None
    return PaddingTokens(real_tokens=totals.get(REAL_TOKENS, 0), padding_tokens=totals.get(PADDING_TOKENS, 0))


def stages_between(before: Mapping[str, Counters], after: Mapping[str, Counters]) -> tuple[Stage, ...]:
    """What each model did between two readings."""
    return tuple(_stage(model, before[model], now) for model, now in after.items())


def _stage(model: str, before: Counters, after: Counters) -> Stage:
    requests = max(1, after.requests - before.requests)
    inferences, executions = after.inferences - before.inferences, after.executions - before.executions
    return Stage(
        model=model,
        inferences=inferences,
        executions=executions,
        batch=round(inferences / max(1, executions), 2),
        failures=after.failures - before.failures,
        queue_ns=round((after.queue_ns - before.queue_ns) / requests),
        input_ns=round((after.input_ns - before.input_ns) / requests),
        infer_ns=round((after.infer_ns - before.infer_ns) / requests),
        output_ns=round((after.output_ns - before.output_ns) / requests),
    )
