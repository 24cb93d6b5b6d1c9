"""Asks a running tritonserver how it is, over HTTP; knows nothing of how it was started."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModelState:
    """One version of a model as the repository index shows it; ``reason`` is empty when it is ready."""

    name: str
    version: str
    state: str
    reason: str


class Health:
    """The health and repository endpoints of one server.

    Each call takes a connection of its own. Errors: OSError or http.client.HTTPException when the server does
    not answer, except the first three, which are then False.
    """

    def __init__(self, host: str, port: int, timeout: float = 5.0) -> None:
        self.host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        self.port = port
        self.timeout = timeout

    @property
    def address(self) -> str:
        """``host:port`` as clients take it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def ready(self) -> bool:
        """Every model is loaded and the server takes requests."""
        return self._ok("/v2/health/ready")

    def live(self) -> bool:
        """The server answers, whatever the state of its models."""
        return self._ok("/v2/health/live")

    def is_named(self, name: str) -> bool:
        """It was started with that ``--id``, so it is not another on this port; True where it won't tell."""
        try:
            status, body = self._request("GET", "/v2")
        except (OSError, http.client.HTTPException):
            return False
        return status != 200 or json.loads(body).get("name") == name

    def models(self) -> list[ModelState]:
        """Every model version the server knows, by name."""
        _, body = self._request("POST", "/v2/repository/index")
        rows = [
            ModelState(row["name"], row.get("version", ""), row.get("state", ""), row.get("reason", ""))
            for row in json.loads(body)
        ]
        return sorted(rows, key=lambda row: (row.name, row.version))

    def ensembles(self) -> list[str]:
        """What a client sends text to: the ready ensembles, and tasks in one process (they hold a manifest)."""
        ready = sorted({row.name for row in self.models() if row.state == "READY"})
        configs = ((name, self._config(name)) for name in ready)
        return [
            n
            for n, config in configs
            if config.get("platform") == "ensemble" or "manifest" in config.get("parameters", {})
        ]

    def _config(self, model: str) -> dict[str, Any]:
        status, body = self._request("GET", f"/v2/models/{model}/config")
        return dict(json.loads(body)) if status == 200 else {}

    def _ok(self, path: str) -> bool:
        try:
            return self._request("GET", path)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _request(self, method: str, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
