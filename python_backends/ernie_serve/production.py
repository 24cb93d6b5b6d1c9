"""`serve --production`: callers reach the gateway alone, and what would leave a server open is refused."""

from __future__ import annotations

import argparse
import ipaddress
import os
from collections.abc import Sequence

from ernie_serve import advisories
from ernie_serve.problems import ServeError
from ernie_serve.wheel import find_wheel

TRITON_HOST = "127.0.0.1"
OPENING = ("--http", "--grpc", "--metrics", "--allow", "--reuse", "--trace", "--log-file")
"""Beginnings of tritonserver's options that could open what is closed here."""
OPTIONS = ("tls_certificate", "tls_key", "behind_proxy", "gateway_grpc_port")


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of the command line."""
    command.add_argument(
        "--production",
        action="store_true",
        help="for callers who are not trusted: --host is the gateway's, with keys; Triton stays on loopback, its APIs "
        "open to the gateway alone",
    )
    command.add_argument("--tls-certificate", metavar="PEM", help="with --gateway: speak TLS, with this certificate")
    command.add_argument("--tls-key", metavar="PEM", help="with --gateway: its private key")
    command.add_argument(
        "--behind-proxy",
        metavar="ADDRESSES",
        help="with --gateway: believe X-Forwarded-For of these proxies, addresses or networks with commas between",
    )
    command.add_argument("--gateway-grpc-port", type=int, help="with --gateway: take gRPC of tasks there, too")
    command.add_argument("--allow-root", action="store_true", help="with --production: also as root")
    command.add_argument(
        "--allow-known-holes", action="store_true", help="with --production: also with a Triton that has known holes"
    )


def check_usage(parsed: argparse.Namespace, extra: Sequence[str]) -> str:
    """What is wrong with the options, in a line; empty where nothing is. extra: those for tritonserver."""
    if (parsed.tls_certificate is None) != (parsed.tls_key is None):
        return "--tls-certificate and --tls-key go together"
    if parsed.gateway_grpc_port is not None and not 0 < parsed.gateway_grpc_port < 65536:
        return f"--gateway-grpc-port {parsed.gateway_grpc_port} is not a port (1 to 65535)"
    if not parsed.production:
        if parsed.allow_root or parsed.allow_known_holes:
            return "--allow-root and --allow-known-holes go with --production"
        given = [f"--{name.replace('_', '-')}" for name in OPTIONS if getattr(parsed, name) is not None]
        return f"{given[0]} goes with --gateway" if given and not parsed.gateway else ""
    if opening := [word for word in extra if word.startswith(OPENING)]:
        return f"--production decides itself what is open: leave out {opening[0].partition('=')[0]}"
    return ""


def check_files(parsed: argparse.Namespace) -> None:
    """ServeError for files of the gateway that are not there: before Triton starts, not after."""
    for option in ("gateway_keys", "tls_certificate", "tls_key"):
        path = getattr(parsed, option)
        if path is not None and not os.access(path, os.R_OK):
            raise ServeError(f"--{option.replace('_', '-')} {path} cannot be read")


def check(parsed: argparse.Namespace) -> None:
    """ServeError for what must not serve strangers."""
    if os.geteuid() == 0 and not parsed.allow_root:
        raise ServeError(
            "--production does not run as root: a hole would be one of the whole machine. Serve as a user of its own, "
            "or give --allow-root"
        )
    if parsed.gateway_keys is None:
        raise ServeError(
            "--production wants API keys: make one with `ernie-triton gateway --keys FILE --new-key NAME`, and give "
            "--gateway-keys FILE"
        )
    if not _is_loopback(parsed.host) and not parsed.tls_key and not parsed.behind_proxy:
        raise ServeError(
            f"--production sends no keys and texts over the network in the clear: with --host {parsed.host} give "
            "--tls-certificate and --tls-key, or --behind-proxy ADDRESS of the proxy that speaks TLS before it"
        )
    if (holes := advisories.holes(find_wheel().version)) and not parsed.allow_known_holes:
        raise ServeError(
            f"{holes}: take NVIDIA's current image (docker/), or give --allow-known-holes; the gateway keeps callers "
            "from most of them"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
