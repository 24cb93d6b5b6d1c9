"""The real server, closed as `serve --production` closes it, behind the gateway and its gRPC proxy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ernie_gateway import keys
from ernie_serve import ports
from ernie_serve.options import ServerOptions
from ernie_serve.server import TritonServer

from ..e2e.conftest import build
from ..e2e.gateways import gateway
from ..shared import made_once

MAX_BODY, MAX_ITEMS, BODY_SECONDS = 100_000, 32, 1.0


@dataclass(frozen=True, kw_only=True)
class Front:
    """What callers see of a server."""

    http: str
    grpc: str
    key: str
    slow_key: str
    triton: TritonServer


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Both listeners, with keys. Triton must have lived through all attacks."""
    repository = made_once("tiny", build, tmp_path_factory) / "repository"
    folder = tmp_path_factory.mktemp("front")
    options = ServerOptions(repository=repository, http_port=0, grpc_port=0, metrics_port=0, log_file=folder / "log")
    options = dataclasses.replace(options, supervised=True, private=True)
    own = {name: keys.add(folder / "keys", name, rate) for name, rate in (("own", 0.0), ("slow", 4.0))}
    with TritonServer(options) as triton:
        header, value = triton.key
        port = ports.pick_ports("127.0.0.1", {"grpc": 0})["grpc"]
        settings = {
            "keys_file": str(folder / "keys"),
            "grpc_port": port,
            "private_metrics": True,
            "triton_headers": ((f"triton-grpc-protocol-{header}", value),),
            "max_body": MAX_BODY,
            "max_items": MAX_ITEMS,
            "body_timeout": BODY_SECONDS,
        }
        with gateway(triton.grpc_address, **settings) as url:
            yield Front(http=url, grpc=f"127.0.0.1:{port}", key=own["own"], slow_key=own["slow"], triton=triton)
        assert triton.poll() is None, "Triton did not survive the attacks"
