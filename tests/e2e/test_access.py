"""TLS with certificates of both sides, and a header that the server wants: the real server, both clients."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ernie_serve.options import ServerOptions
from ernie_serve.server import TritonServer
from ernie_triton import AccessDenied, AsyncClient, Certificates, Client, Retry, ServerUnavailable

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates"),
]

ONCE = Retry(attempts=1)
EXTENSIONS = "subjectAltName=DNS:localhost,IP:127.0.0.1"
SECRET = {"triton-grpc-protocol-x-key": "secret"}


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that signs itself, good for localhost, as the server's and the client's."""
    folder = tmp_path_factory.mktemp("certificates")
    request = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl(folder, *request, "-subj", "/CN=localhost", "-addext", EXTENSIONS, "-keyout", "key.pem", "-out", "ca.pem")
    return folder


@pytest.fixture(scope="module")
def guarded(repository: Path, certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A server that speaks gRPC with TLS alone, asks for the client's certificate, and for a key before it infers."""
    key, ca = certificates / "key.pem", certificates / "ca.pem"
    extra = ("--grpc-use-ssl=1", "--grpc-use-ssl-mutual=1", f"--grpc-server-cert={ca}", f"--grpc-server-key={key}")
    extra += (f"--grpc-root-cert={ca}", "--grpc-restricted-protocol=inference:x-key=secret")
    log = tmp_path_factory.mktemp("guarded") / "triton.log"
    options = ServerOptions(repository=repository, http_port=0, grpc_port=0, metrics_port=0, log_file=log, extra=extra)
    with TritonServer(options) as running:
        yield running


def test_a_client_with_certificates_and_the_key(guarded: TritonServer, certificates: Path) -> None:
    ca, key = certificates / "ca.pem", certificates / "key.pem"
    own = Certificates(ca=ca, certificate=ca, key=key)
    with Client(guarded.grpc_address, tls=own, headers=SECRET) as client:
        assert client.ready("topic") and client.classify("topic", "球队赢得比赛")[0].label == "sport"

    async def ask() -> str:
        async with AsyncClient(f"grpcs://{guarded.grpc_address}", tls=own) as client:
            return (await client.classify("topic", "球队赢得比赛", headers=SECRET))[0].label

    assert asyncio.run(ask()) == "sport"


def test_what_is_missing_is_said_in_one_line(guarded: TritonServer, certificates: Path) -> None:
    ca, key = certificates / "ca.pem", certificates / "key.pem"
    own = Certificates(ca=ca, certificate=ca, key=key)
    with Client(guarded.grpc_address, tls=own, retry=ONCE) as client, pytest.raises(AccessDenied) as denied:
        client.classify("topic", "球队赢得比赛")
    assert "\n" not in str(denied.value) and "an API key or a header" in str(denied.value)
    for tls in (None, True, Certificates(ca=ca)):  # no TLS, another authority, no certificate of its own
        with Client(guarded.grpc_address, tls=tls, retry=ONCE, timeout=5) as client:
            with pytest.raises(ServerUnavailable) as unavailable:
                client.classify("topic", "球队赢得比赛")
            assert "\n" not in str(unavailable.value)


async def pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()


@contextlib.contextmanager
def https_before(address: str, certificates: Path) -> Iterator[int]:
    """The port of a proxy that speaks TLS, as there is one before Triton's HTTP wherever it leaves a machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "ca.pem", certificates / "key.pem")
    host, _, port = address.rpartition(":")

    async def connected(caller: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        received, sending = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pipe(caller, sending), pipe(received, answer))

    loop = asyncio.new_event_loop()
    proxy = loop.run_until_complete(asyncio.start_server(connected, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(proxy.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
        loop.close()


def test_https(guarded: TritonServer, certificates: Path) -> None:
    own = Certificates(ca=certificates / "ca.pem")
    with https_before(guarded.http_address, certificates) as port:
        with Client(f"https://localhost:{port}", tls=own) as client:
            assert client.classify("topic", "球队赢得比赛")[0].label == "sport"

        async def ask() -> str:
            async with AsyncClient(f"https://127.0.0.1:{port}", tls=own) as client:
                return (await client.classify("topic", "球队赢得比赛"))[0].label

        assert asyncio.run(ask()) == "sport"
        with Client(f"https://localhost:{port}", retry=ONCE) as client, pytest.raises(ServerUnavailable) as stranger:
            client.classify("topic", "球队赢得比赛")  # nobody whom this machine trusts has signed the certificate
        assert "certificate" in str(stranger.value) and "\n" not in str(stranger.value)
