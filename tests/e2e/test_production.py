"""`ernie-triton serve --production`, the command itself: TLS, keys, both listeners, and Triton closed behind them."""

from __future__ import annotations

import operator
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ernie_gateway import keys
from ernie_serve import ports
from ernie_triton import AccessDenied, Certificates, Client, Retry, ServerUnavailable

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate"),
]
WORDS = ("--allow-root", "--allow-known-holes", "--drain", "2")


def make_certificate(folder: Path) -> None:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    extension = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command.split(), *extension], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cert.pem, which signs itself and is good for 127.0.0.1, and its key.pem."""
    folder = tmp_path_factory.mktemp("certificate")
    make_certificate(folder)
    return folder


@pytest.fixture(scope="module")
def served(repository: Path, certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Ports by use, and an API key."""
    folder = tmp_path_factory.mktemp("production")
    key = keys.add(folder / "keys", "web")
    picked = ports.pick_ports("127.0.0.1", {"http": 0, "grpc": 0, "metrics": 0, "gateway": 0, "gateway-grpc": 0})
    words = [word for use, port in picked.items() for word in (f"--{use}-port", str(port))]
    words += ["--gateway-keys", str(folder / "keys"), "--log-file", str(folder / "log")]
    words += ["--tls-certificate", str(certificate / "cert.pem"), "--tls-key", str(certificate / "key.pem")]
    command = [sys.executable, "-m", "ernie_serve", "--repository", str(repository), "--production", *WORDS, *words]
    process = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    assert '"gateway_grpc"' in process.stdout.readline()  # printed once all is ready
    try:
        yield {"key": key, **{use: f"127.0.0.1:{port}" for use, port in picked.items()}}
    finally:
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()


def test_a_renewed_certificate_counts_without_a_restart(served: dict[str, str], certificate: Path) -> None:
    """Both listeners; the clients below trust the new one."""
    addresses = [(host, int(port)) for host, port in (served[use].split(":") for use in ("gateway", "gateway-grpc"))]
    before = [ssl.get_server_certificate(address) for address in addresses]
    make_certificate(certificate)
    deadline = time.monotonic() + 20
    while any(map(operator.eq, before, map(ssl.get_server_certificate, addresses))):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_caller_with_a_key(served: dict[str, str], certificate: Path) -> None:
    context = ssl.create_default_context(cafile=certificate / "cert.pem")
    headers = {"authorization": f"Bearer {served['key']}"}
    with httpx.Client(base_url=f"https://{served['gateway']}", verify=context, headers=headers, timeout=30) as caller:
        reply = caller.post("/v1/tasks/topic", json={"inputs": "球队赢得比赛"})
        assert reply.json()["answers"][0]["label"] == "sport"
        assert "ernie_gateway_requests_total" in caller.get("/metrics").text
    tls = Certificates(ca=certificate / "cert.pem")
    with Client(served["gateway-grpc"], tls=tls, api_key=served["key"]) as client:
        assert client.classify("topic", "球队赢得比赛")[0].label == "sport"


def test_a_caller_without_one(served: dict[str, str], certificate: Path) -> None:
    context = ssl.create_default_context(cafile=certificate / "cert.pem")
    with httpx.Client(base_url=f"https://{served['gateway']}", verify=context, timeout=30) as caller:
        assert [caller.get(path).status_code for path in ("/healthz", "/readyz", "/")] == [200] * 3
        assert [caller.get(path).status_code for path in ("/v1/tasks", "/metrics", "/openapi.json")] == [401] * 3
    tls = Certificates(ca=certificate / "cert.pem")
    with Client(served["gateway-grpc"], tls=tls) as client, pytest.raises(AccessDenied):
        client.classify("topic", "球队")
    once = Retry(attempts=1)
    with Client(served["gateway-grpc"], retry=once, timeout=5) as client, pytest.raises(ServerUnavailable):
        client.classify("topic", "球队")  # no TLS
    assert httpx.get(f"http://{served['http']}/v2/health/ready", trust_env=False).status_code == 403
    with Client(served["grpc"], retry=once) as client, pytest.raises(AccessDenied):
        client.classify("topic", "球队")  # Triton itself, on this machine
