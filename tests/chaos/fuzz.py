"""Malformed requests to the gateway and its gRPC proxy: python -m tests.chaos.fuzz [--requests 10000] [--seed 0].

Good requests are changed at random: JSON and protobuf in their structure and in their bytes, heads, lengths, chunks,
keys, names. Counted: answers by status; and what must not be there: 5xx and gRPC's statuses for a fault of the server,
no answer at all in time, a traceback or an address in an answer, a wrong answer to a good request in between, an end of
Triton or of the gateway, memory that grows after the first fifth.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc

from ernie_gateway import keys
from ernie_gateway.settings import TRITON_KEY
from ernie_serve import ports, stubs
from ernie_serve.options import ServerOptions
from ernie_serve.server import TritonServer
from ernie_triton import Client

from . import fuzz_requests as make

THREADS = 8
GOOD_EVERY = 100  # requests of a thread between two good ones
BODY_SECONDS = 1
SERVER_FAULTS = {"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DATA_LOSS", "ABORTED"}
LEAKS = (b"Traceback", b'File "', b".py", b"127.0.0.1:", b"/dev/shm", b"ernie-key", b"site-packages")


class Report:
    """What all threads count."""

    def __init__(self) -> None:
        self.statuses, self.faults = Counter[str](), list[str]()
        self._lock = threading.Lock()

    def add(self, status: str, fault: str = "") -> None:
        with self._lock:
            self.statuses[status] += 1
            if fault:
                self.faults.append(fault)


@contextlib.contextmanager
def served(repository: Path) -> Iterator[tuple[str, str, str, TritonServer, int]]:
    """Addresses of both listeners, a key, Triton, the gateway's process."""
    from ..e2e.gateways import gateway_process

    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        key = keys.add(folder / "keys", "fuzz")
        options = ServerOptions(
            repository=repository, http_port=0, grpc_port=0, metrics_port=0, log_file=folder / "log"
        )
        triton = stack.enter_context(TritonServer(replace(options, supervised=True, private=True)))
        os.environ[TRITON_KEY] = "=".join(triton.key)
        port = ports.pick_ports("127.0.0.1", {"grpc": 0})["grpc"]
        words = ["--keys", str(folder / "keys"), "--private-metrics", "--grpc-port", str(port)]
        words += ["--body-timeout", str(BODY_SECONDS), "--max-body", "200000"]
        url = stack.enter_context(gateway_process(triton.grpc_address, folder / "gateway.log", *words))
        (pid,) = (int(p.name) for p in Path("/proc").glob("[0-9]*") if f"--grpc-port\0{port}" in _command(p))
        yield url.removeprefix("http://"), f"127.0.0.1:{port}", key, triton, pid


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


def memory(pid: int) -> int:
    """Bytes that a process has in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def over_http(address: str, request: bytes) -> tuple[str, bytes]:
    """Status and answer of a request; "closed" where the connection is closed without one."""
    host, _, port = address.partition(":")
    received = b""
    try:
        with socket.create_connection((host, int(port)), timeout=BODY_SECONDS + 20) as caller:
            with contextlib.suppress(OSError):  # closed while we still send: the answer may be there
                caller.sendall(request)
            while data := caller.recv(65536):
                received += data
    except TimeoutError:
        return "silent", received
    except OSError:
        return "closed", received
    return (received[9:12].decode(errors="replace") if received else "closed"), received


def over_grpc(channel: grpc.Channel, method: str, message: bytes, metadata: Any) -> tuple[str, bytes]:
    """Status and details of a call."""
    try:
        return "OK", channel.unary_unary(method)(message, metadata=metadata, timeout=30)
    except grpc.RpcError as error:
        return error.code().name, (error.details() or "").encode()
    except ValueError as error:  # the client itself refuses the metadata
        return "unsent", str(error).encode()


def fuzz(http: str, grpc_address: str, key: str, task: str, text: str, count: int, seed: int, report: Report) -> None:
    """Send so many requests, every second one over gRPC."""
    generator = random.Random(seed)
    with Client(grpc_address, api_key=key) as good, grpc.insecure_channel(grpc_address) as channel:
        (expected,) = good.predict(task, text)
        for number in range(count):
            if number % 2:
                method, message, metadata = make.call(generator, task, text, key)
                status, answer = over_grpc(channel, method, message, metadata)
                is_fault, shown = status in SERVER_FAULTS, f"{method} {message[:200]!r}"
            else:
                request = make.request(generator, task, text, key)
                status, answer = over_http(http, request)
                is_fault, shown = status.startswith("5") or status == "silent", f"{request[:300]!r}"
            leak = status != "OK" and next(
                (word for word in LEAKS if word in answer and word not in shown.encode()), b""
            )
            fault = f"{status}: {answer[-200:]!r} to {shown}" if is_fault else ""
            report.add(
                status, fault or (f"{leak!r} in {answer[-300:]!r} to {shown}" if leak and status != "200" else "")
            )
            if number % GOOD_EVERY == 0 and good.predict(task, text)[0].raw != expected.raw:
                report.add("good", "a wrong answer to a good request")


def main() -> int:
    """0 where nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--task", default="", help="the first one by default")
    arguments = parser.parse_args()
    report = Report()
    with served(arguments.repository) as (http, grpc_address, key, triton, gateway):
        with Client(grpc_address, api_key=key, wait_for_ready=True) as client:
            task = client.task(arguments.task) if arguments.task else client.tasks()[0]
        models = [stub.pid for stub in stubs.stubs_of(triton.shared_memory_prefix)]
        sizes = []
        for part in range(5):
            each = arguments.requests // 5 // THREADS
            seeds = [arguments.seed + part * THREADS + number for number in range(THREADS)]
            threads = [
                threading.Thread(
                    target=fuzz, args=(http, grpc_address, key, task.name, task.examples[0][0], each, s, report)
                )
                for s in seeds
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            sizes.append((memory(gateway), sum(memory(pid) for pid in models)))
            print(f"{(part + 1) * each * THREADS} requests, {len(report.faults)} faults", flush=True)
        if triton.poll() is not None or not Path(f"/proc/{gateway}").exists():
            report.faults.append("Triton or the gateway has ended")
        if [stub.pid for stub in stubs.stubs_of(triton.shared_memory_prefix)] != models:
            report.faults.append("a step has ended")
    print("answers:", ", ".join(f"{status} {count}" for status, count in sorted(report.statuses.items())))
    for name, index in (("gateway", 0), ("steps", 1)):
        shown = ", ".join(f"{size[index] / 2**20:.0f}" for size in sizes)
        print(f"memory of the {name} after each fifth: {shown} MB")
    for fault in report.faults[:20]:
        print("FAULT", fault)
    print(json.dumps({"requests": sum(report.statuses.values()), "faults": len(report.faults)}))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
