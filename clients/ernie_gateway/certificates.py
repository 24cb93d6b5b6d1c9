"""Renewed certificates without a restart: new connections get what the files hold now."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
from uvicorn import Config

from .log import event

CHECK_SECONDS = 1.0


class Pair:
    """A certificate and its key, as PEM files that are replaced one after the other: only a pair that fits counts."""

    def __init__(self, certificate: str, key: str) -> None:
        self.certificate, self.key = certificate, key
        self._seen = self._stamp()

    def renewed(self) -> bool:
        """Whether the files have changed since the last call, and fit."""
        stamp = self._stamp()
        if stamp == self._seen or not stamp:
            return False
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key, password="")
        except (ssl.SSLError, OSError) as error:
            event("certificate", file=self.certificate, error=f"not taken over: {error}")
            self._seen = stamp if time.time() - max(time_ for time_, _ in stamp) > CHECK_SECONDS else self._seen
            return False
        self._seen = stamp
        event("certificate", file=self.certificate, error=None)
        return True

    def _stamp(self) -> tuple[tuple[float, int], ...]:
        try:
            return tuple((s.st_mtime, s.st_ino) for s in (Path(self.certificate).stat(), Path(self.key).stat()))
        except OSError:
            return ()


def context(config: Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """For uvicorn (`ssl_context_factory`): its own context, which takes over renewed files."""
    made, pair = default(), Pair(str(config.ssl_certfile), str(config.ssl_keyfile))

    def renew() -> None:
        while True:
            time.sleep(CHECK_SECONDS)
            if pair.renewed():
                made.load_cert_chain(pair.certificate, pair.key)

    threading.Thread(target=renew, daemon=True).start()
    return made


def credentials(certificate: str, key: str) -> grpc.ServerCredentials:
    """For gRPC, which asks at each handshake."""
    pair = Pair(certificate, key)

    def read() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(Path(key).read_bytes(), Path(certificate).read_bytes())])

    return grpc.dynamic_ssl_server_credentials(read(), lambda: read() if pair.renewed() else None)
