"""The ports of a server: picks free ones, and refuses those that cannot be used."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Mapping

from ernie_serve.problems import ServeError, port_taken


def pick_ports(host: str, ports: Mapping[str, int]) -> dict[str, int]:
    """The ports with each 0 replaced by a free one, below those that the kernel assigns by itself.

    Errors: ServeError when nothing can be bound on the host.
    """
    used = set(ports.values())

    def free() -> int:
        for _ in range(1000):
            port = random.randrange(20000, 32000)
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                try:
                    probe.bind((host, port))
                except OSError:
                    continue
            if port not in used:
                used.add(port)
                return port
        raise ServeError(f"no free port on {host}: is it an address of this machine?")

    return {use: port or free() for use, port in ports.items()}


def check_ports(host: str, ports: Mapping[str, int]) -> None:
    """Refuse to start on a port that is taken, or on an address this machine does not have.

    ``ports`` maps http, grpc and metrics to numbers. Errors: ServeError naming the port and its use.
    """
    by_number: dict[int, str] = {}
    for use, port in ports.items():
        if port in by_number:
            raise ServeError(f"port {port} is asked for twice, for {by_number[port]} and {use}: give each its own")
        by_number[port] = use
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            with socket.socket(infos[0][0], socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(infos[0][4])
        except socket.gaierror:
            raise ServeError(f"host {host} is not an address of this machine: try 127.0.0.1 or 0.0.0.0") from None
        except PermissionError:
            raise ServeError(f"no permission to use {use} port {port}: choose one above 1023") from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ServeError(port_taken(use, port)) from None
            raise ServeError(f"cannot listen on {host}:{port} ({use}): {error.strerror}") from None
