"""What docker/kubernetes/rendered asks Kubernetes to do, for tests that do it here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "docker" / "kubernetes"
METRIC = re.compile(r"\b(?:nv|ernie)_\w+")


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """The objects of one file."""

    objects: list[dict[str, Any]]

    @classmethod
    def load(cls, name: str) -> Rendered:
        """rendered/NAME.yaml."""
        text = (FOLDER / "rendered" / f"{name}.yaml").read_text(encoding="utf-8")
        return cls(objects=[part for part in yaml.safe_load_all(text) if part])

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind."""
        return [part for part in self.objects if part["kind"] == kind]

    def pod(self, component: str) -> dict[str, Any]:
        """The spec of the Pods of a Deployment."""
        labels = [(part, part["spec"]["template"]["metadata"]["labels"]) for part in self.of_kind("Deployment")]
        (found,) = [part for part, label in labels if label["app.kubernetes.io/component"] == component]
        return dict(found["spec"]["template"]["spec"])

    def container(self, component: str) -> dict[str, Any]:
        """The one container of its Pods."""
        (container,) = self.pod(component)["containers"]
        return dict(container)

    def port(self, component: str, port: int | str) -> int:
        """The number of a port of the container."""
        ports = {item["name"]: int(item["containerPort"]) for item in self.container(component)["ports"]}
        return port if isinstance(port, int) else ports[port]

    def service_port(self, component: str, port: int | str) -> int:
        """The container's port behind a port of the Service, by name or number."""
        (service,) = [
            part
            for part in self.of_kind("Service")
            if part["spec"]["selector"]["app.kubernetes.io/component"] == component
        ]
        (found,) = [item for item in service["spec"]["ports"] if port in (item["name"], item["port"])]
        return self.port(component, found["targetPort"])

    def probe(self, component: str, probe: str) -> tuple[int, str]:
        """The port and the path that a probe asks."""
        request = self.container(component)[probe]["httpGet"]
        return self.port(component, request["port"]), str(request["path"])

    def scraped(self) -> list[tuple[str, int, str]]:
        """Component, port and path of all that Prometheus reads."""
        return [
            (component, self.service_port(component, endpoint["port"]), endpoint["path"])
            for monitor in self.of_kind("ServiceMonitor")
            for component in [monitor["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]]
            for endpoint in monitor["spec"]["endpoints"]
        ]

    def queries(self) -> list[str]:
        """What the number of servers depends on."""
        (scaled,) = self.of_kind("ScaledObject")
        return [trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]]


def replaced(words: list[str], values: dict[str, str]) -> list[str]:
    """A command's words with what is another here: a value that no word has would be a test of something else."""
    assert values.keys() <= set(words)
    return [values.get(word, word) for word in words]
