"""Asks a running tritonserver for its state over HTTP, however it was started."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass

from ernie_runtime.json_types import JsonObject
from ernie_runtime.names import MANIFEST_PARAMETER


@dataclass(frozen=True, kw_only=True)
class ModelState:
    """One version of a model as the repository index shows it; ``reason`` is empty when it is ready."""

    name: str
    version: str
    state: str
    reason: str


class Health:
    """The health and repository endpoints of one server.

    Each call opens its own connection. key: header and value that open its restricted endpoints. Errors: OSError or
    http.client.HTTPException when the server does not answer, except for ready, live and is_named, which are then
    False.
    """

    def __init__(self, host: str, port: int, timeout: float = 5.0, key: tuple[str, str] | None = None) -> None:
        self.host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        self.port = port
        self.timeout = timeout
        self._headers = dict([key] if key else [])

    @property
    def address(self) -> str:
        """``host:port`` for clients."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def ready(self) -> bool:
        """Whether every model is loaded and the server takes requests."""
        return self._ok("/v2/health/ready")

    def live(self) -> bool:
        """Whether the server answers, whatever the state of its models."""
        return self._ok("/v2/health/live")

    def is_named(self, name: str) -> bool:
        """Whether it was started with this ``--id``, so it is no other server; True where it does not say."""
        try:
            status, body = self._request("GET", "/v2")
        except (OSError, http.client.HTTPException):
            return False
        return status != 200 or json.loads(body).get("name") == name

    def models(self) -> list[ModelState]:
        """All model versions that the server knows, sorted by name."""
        _, body = self._request("POST", "/v2/repository/index")
        rows = [
            ModelState(
                name=row["name"],
                version=row.get("version", ""),
                state=row.get("state", ""),
                reason=row.get("reason", ""),
            )
            for row in json.loads(body)
        ]
        return sorted(rows, key=lambda row: (row.name, row.version))

    def ensembles(self) -> list[str]:
        """The models that clients send text to: ready ensembles, and others that have a manifest."""
        configs = ((name, self.config(name)) for name in self.ready_models())
        return [
            name
            for name, config in configs
            if config.get("platform") == "ensemble" or MANIFEST_PARAMETER in config.get("parameters", {})
        ]

    def ready_models(self) -> list[str]:
        """Names of the models of which a version is loaded."""
        return sorted({row.name for row in self.models() if row.state == "READY"})

    def has(self, model: str, version: int | None = None) -> bool:
        """Whether a model is loaded, in this version."""
        path = f"/v2/models/{model}" if version is None else f"/v2/models/{model}/versions/{version}"
        return self._ok(f"{path}/ready")

    def config(self, model: str) -> JsonObject:
        """The configuration of a model; empty where it is not loaded."""
        status, body = self._request("GET", f"/v2/models/{model}/config")
        return dict(json.loads(body)) if status == 200 else {}

    def answered(self, model: str) -> int:
        """How many requests a model has answered since it was loaded; -1 where the server does not say."""
        status, body = self._request("GET", f"/v2/models/{model}/stats")
        if status != 200:
            return -1
        return sum(int(row["inference_stats"]["success"]["count"]) for row in json.loads(body)["model_stats"])

    def infer(self, model: str, body: JsonObject) -> tuple[int, bytes]:
        """Status and body of the answer to one inference request."""
        return self._request("POST", f"/v2/models/{model}/infer", json.dumps(body).encode())

    def load(self, model: str) -> str:
        """Load a model, or load it again; returns the server's reason where it could not, else nothing."""
        return self._repository(model, "load", {})

    def unload(self, model: str) -> str:
        """Unload a model, and no step of it; returns the server's reason where it could not, else nothing."""
        return self._repository(model, "unload", {"parameters": {"unload_dependents": False}})

    def executions(self, model: str) -> tuple[int, int]:
        """Requests that a model has answered and that have failed; (0, 0) where it is not loaded."""
        status, body = self._request("GET", f"/v2/models/{model}/stats")
        rows = json.loads(body)["model_stats"] if status == 200 else []
        counts = [(int(row["inference_stats"][key]["count"]) for key in ("success", "fail")) for row in rows]
        answered, failed = zip(*counts, strict=True) if counts else ((), ())
        return sum(answered), sum(failed)

    def _repository(self, model: str, verb: str, body: JsonObject) -> str:
        status, reply = self._request("POST", f"/v2/repository/models/{model}/{verb}", json.dumps(body).encode())
        return "" if status == 200 else reply.decode(errors="replace")

    def _ok(self, path: str) -> bool:
        try:
            return self._request("GET", path)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        try:
            connection.request(method, path, body, self._headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
