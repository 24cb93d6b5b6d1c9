"""The rendered manifests are the chart's, and their parts fit each other and the programs that they start."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
import yaml

from ernie_gateway.cli import parser as gateway_parser
from ernie_serve import production
from ernie_serve.command import parser as serve_parser

from ..kubernetes import FOLDER, METRIC, Rendered

NAMES = ("cpu", "gpu")


def chart_digest() -> str:
    """The same as digest() of docker/kubernetes/check.sh: of all but comments."""
    files = sorted((path for path in (FOLDER / "chart").rglob("*") if path.is_file()), key=lambda path: path.as_posix())
    lines = [line for path in files for line in path.read_bytes().splitlines(keepends=True)]
    return hashlib.sha256(b"".join(line for line in lines if not line.lstrip(b" ").startswith(b"#"))).hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_the_manifests_are_what_the_chart_gives(name: str) -> None:
    first = (FOLDER / "rendered" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first.endswith(chart_digest()), "the chart has changed: docker/kubernetes/check.sh --write"


@pytest.mark.parametrize("name", NAMES)
def test_selectors_ports_and_volumes_name_what_there_is(name: str) -> None:
    rendered = Rendered.load(name)
    pods = [part["spec"]["template"]["metadata"]["labels"] for part in rendered.of_kind("Deployment")]

    def selected(selector: dict[str, str]) -> int:
        return sum(selector.items() <= labels.items() for labels in pods)

    for part in rendered.of_kind("Deployment") + rendered.of_kind("PodDisruptionBudget"):
        assert selected(part["spec"]["selector"]["matchLabels"]) == 1
    for part in rendered.of_kind("Service"):
        component = part["spec"]["selector"]["app.kubernetes.io/component"]
        assert selected(part["spec"]["selector"]) == 1
        for port in part["spec"]["ports"]:
            assert rendered.port(component, port["targetPort"]) == port["port"]
    for part in rendered.of_kind("NetworkPolicy"):
        component = part["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for rule in part["spec"]["ingress"]:
            assert all(rendered.port(component, port["port"]) for port in rule["ports"])
    for component in ("server", "gateway"):
        volumes = {volume["name"] for volume in rendered.pod(component)["volumes"]}
        assert {mount["name"] for mount in rendered.container(component)["volumeMounts"]} == volumes
    assert len(rendered.scraped()) == 2
    (scaled,) = rendered.of_kind("ScaledObject")
    assert scaled["spec"]["scaleTargetRef"]["name"] in {p["metadata"]["name"] for p in rendered.of_kind("Deployment")}


@pytest.mark.parametrize("name", NAMES)
def test_only_the_gateway_reaches_triton(name: str) -> None:
    rendered = Rendered.load(name)
    (policy,) = [
        part
        for part in rendered.of_kind("NetworkPolicy")
        if part["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "server"
    ]
    sources: dict[str, list[dict[str, Any]]] = {
        port["port"]: rule["from"] for rule in policy["spec"]["ingress"] for port in rule["ports"]
    }
    assert sources.keys() == {"grpc", "metrics"}
    (source,) = sources["grpc"]
    assert source["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "gateway"
    assert policy["spec"]["egress"] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("component", ["server", "gateway"])
def test_containers_are_confined_and_have_time_to_end(name: str, component: str) -> None:
    rendered = Rendered.load(name)
    pod, container = rendered.pod(component), rendered.container(component)
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    waits = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
    drain = 30  # of uvicorn in the gateway
    if component == "server":
        options = " ".join(container["args"])
        (drain,) = map(int, re.findall(r"(?:--drain |--exit-timeout-secs=)(\d+)", options))
        (age,) = map(int, re.findall(r"--grpc-max-connection-age=(\d+)", options))
        assert waits >= 1.1 * age / 1000 + 2 + 30  # the gateway's last look, and how long the cluster's DNS keeps names
    assert pod["terminationGracePeriodSeconds"] >= waits + drain + 8


def test_the_programs_know_the_options() -> None:
    rendered = Rendered.load("cpu")
    words = rendered.container("server")["args"]
    parsed = serve_parser().parse_args(words[1 : words.index("--")])
    assert (parsed.health_port, parsed.drain) == (8003, 30)
    startup = rendered.container("server")["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] > parsed.timeout  # so that it can say what was wrong
    gateway = gateway_parser().parse_args(rendered.container("gateway")["args"][1:])
    name, port = gateway.url.split(":")
    (service,) = [part for part in rendered.of_kind("Service") if part["metadata"]["name"] == name]
    assert service["spec"]["clusterIP"] == "None"  # all servers under one name
    assert rendered.service_port("server", int(port)) == rendered.port("server", "grpc")


def test_nvidias_server_is_not_scaled_by_what_it_does_not_count() -> None:
    used = {metric for query in Rendered.load("gpu").queries() for metric in METRIC.findall(query)}
    assert used == {"nv_inference_queue_duration_us", "nv_inference_request_success"}


def test_kserve_starts_a_gateway_before_a_closed_triton() -> None:
    (container,) = yaml.safe_load((FOLDER / "kserve" / "runtime.yaml").read_text())["spec"]["containers"]
    parsed = serve_parser().parse_args(container["args"][1:])
    assert production.check_usage(parsed, []) == ""
    (port,) = container["ports"]
    assert (parsed.production, parsed.gateway_port) == (True, port["containerPort"])
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": parsed.gateway_port}
    volumes = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(parsed.gateway_keys.parent) in volumes
