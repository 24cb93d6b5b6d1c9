"""A rolling update on this machine, as the rendered manifests ask for it: python -m tests.chaos.rolling.

Two servers stand behind one gateway, each on a loopback address of its own with the ports of its Pod, and callers ask
the gateway all the time, without asking again when they are refused. Then both are replaced as a Deployment with
maxSurge 1 and maxUnavailable 0 does: a new one starts, and when its probe succeeds an old one is taken out of the
name, waits as its preStop says, and gets SIGTERM. Commands, probes and times are those of rendered/cpu.yaml.

The name is served as a cluster's DNS does: addresses of the ready Pods, as they were `--dns-delay` seconds ago. The
gateway's channel is pointed to it; all else in it is the command's own.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import socketserver
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, deque
from contextlib import suppress
from pathlib import Path

from ..kubernetes import Rendered, replaced

NETWORK = "127.0.19."
GATEWAY = NETWORK + "200"
DNS_PORT = 10053
RENDERED = Rendered.load("cpu")
IN_THE_GATEWAY = """
import sys
import ernie_triton.transports.grpc_calls  # before the channel is made
from ernie_triton.connection import Connection
Connection.address = property(lambda self: f"dns://127.0.0.1:{PORT}/{self.host}:{self.port}")
from ernie_gateway.cli import main
sys.exit(main(sys.argv[1:]))
""".replace("{PORT}", str(DNS_PORT))


class Name(socketserver.ThreadingUDPServer):
    """Answers every question for an A record with the ready addresses of `delay` seconds ago."""

    daemon_threads = True

    def __init__(self, delay: float) -> None:
        self.delay, self.asked = delay, 0
        self._history: deque[tuple[float, tuple[str, ...]]] = deque([(-1e9, ())])
        super().__init__(("127.0.0.1", DNS_PORT), Question)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def set(self, addresses: tuple[str, ...]) -> None:
        self._history.append((time.monotonic(), addresses))

    def addresses(self) -> tuple[str, ...]:
        then = time.monotonic() - self.delay
        return next(addresses for since, addresses in reversed(self._history) if since <= then)


class Question(socketserver.BaseRequestHandler):
    server: Name

    def handle(self) -> None:
        message, reply = self.request
        end = message.index(b"\0", 12) + 5  # of the one question: name, type, class
        (kind,) = struct.unpack("!H", message[end - 4 : end - 2])
        addresses = self.server.addresses() if kind == 1 else ()
        self.server.asked += kind == 1
        header = message[:2] + struct.pack("!HHHHH", 0x8580, 1, len(addresses), 0, 0)
        records = [b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + socket.inet_aton(a) for a in addresses]
        reply.sendto(header + message[12:end] + b"".join(records), self.client_address)


class Pod:
    """A server on an address of its own."""

    def __init__(self, number: int, repository: Path, folder: Path) -> None:
        self.address = f"{NETWORK}{number}"
        self.log = folder / f"{self.address}.log"
        words = replaced(RENDERED.container("server")["args"], {"/models": str(repository), "0.0.0.0": self.address})
        environment = {**os.environ, "ERNIE_TRITON_CACHE": str(folder / f"cache-{number}")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ernie_triton", *words], env=environment, stdout=log, stderr=log
            )

    def is_ready(self) -> bool:
        port, path = RENDERED.probe("server", "readinessProbe")
        return status(f"http://{self.address}:{port}{path}") == 200

    def wait_ready(self) -> None:
        while not self.is_ready():
            if self.process.poll() is not None:
                raise SystemExit(f"a server ended:\n{self.log.read_text()}")
            time.sleep(RENDERED.container("server")["readinessProbe"]["periodSeconds"] / 2)

    def end(self) -> tuple[int, float]:
        """As the kubelet does; the exit code, and the seconds after SIGTERM."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(RENDERED.pod("server")["terminationGracePeriodSeconds"]), time.monotonic() - began


def status(url: str, body: bytes | None = None) -> int:
    """0 where nothing answers."""
    with suppress(OSError, ValueError):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code
    return 0


class Caller(threading.Thread):
    """Asks until `stop`; a refused request counts as lost."""

    def __init__(self, url: str, body: bytes, pause: float, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.statuses, self.seconds, self.failed = Counter[int](), list[float](), list[tuple[float, int]]()
        self._url, self._body, self._pause, self._stop_event = url, body, pause, stop

    def run(self) -> None:
        while not self._stop_event.wait(self._pause):
            began = time.monotonic()
            code = status(self._url, self._body)
            self.statuses[code] += 1
            self.seconds.append(time.monotonic() - began)
            if code != 200:
                self.failed.append((began, code))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--task", default="tnews")
    parser.add_argument("--text", default="今天股市大涨")
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two requests of a caller")
    parser.add_argument("--dns-delay", type=float, default=30.0, help="seconds for which the name is out of date")
    parser.add_argument("--pre-stop", type=float, help="seconds, in place of the manifest's")
    arguments = parser.parse_args()
    name = Name(arguments.dns_delay)
    pods, gateway, stop = list[Pod](), None, threading.Event()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        try:
            pods = [Pod(number, arguments.repository, folder) for number in (1, 2)]
            for pod in pods:
                pod.wait_ready()
            name.set(tuple(pod.address for pod in pods))
            time.sleep(arguments.dns_delay)
            words = RENDERED.container("gateway")["args"][1:]
            words = words[: words.index("--keys")]  # keys are not what is looked at here
            words = replaced(words, {"0.0.0.0": GATEWAY})
            gateway = subprocess.Popen(
                [sys.executable, "-c", IN_THE_GATEWAY, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            port, path = RENDERED.probe("gateway", "readinessProbe")
            while status(f"http://{GATEWAY}:{port}{path}") != 200:
                if gateway.poll() is not None:
                    raise SystemExit("the gateway ended")
                time.sleep(0.2)
            url = f"http://{GATEWAY}:{port}/v1/tasks/{arguments.task}"
            body = json.dumps({"inputs": [arguments.text]}).encode()
            callers = [Caller(url, body, arguments.pause, stop) for _ in range(arguments.callers)]
            for caller in callers:
                caller.start()
            time.sleep(5)
            return update(name, pods, callers, arguments, folder, stop)
        finally:
            stop.set()
            for process in [pod.process for pod in pods] + ([gateway] if gateway else []):
                if process.poll() is None:
                    process.terminate()
                    process.wait()


def update(
    name: Name,
    pods: list[Pod],
    callers: list[Caller],
    arguments: argparse.Namespace,
    folder: Path,
    stop: threading.Event,
) -> int:
    """Replace both servers while the callers ask; 1 where a request was lost."""
    waits = float(RENDERED.container("server")["lifecycle"]["preStop"]["exec"]["command"][-1])
    waits = waits if arguments.pre_stop is None else arguments.pre_stop
    began, codes = time.monotonic(), list[int]()
    for number in (3, 4):
        new, old = Pod(number, arguments.repository, folder), pods[number - 3]
        pods.append(new)
        new.wait_ready()
        live = [pod for pod in pods if pod.process.poll() is None and pod is not old]
        name.set(tuple(pod.address for pod in live))
        time.sleep(waits)
        code, seconds = old.end()
        codes.append(code)
        print(f"server {number - 2} replaced: exit code {code}, {seconds:.1f} s after SIGTERM", flush=True)
    time.sleep(10)
    stop.set()
    for caller in callers:
        caller.join(60)
    statuses = sum((caller.statuses for caller in callers), Counter[int]())
    seconds = sorted(second for caller in callers for second in caller.seconds)
    for when, code in sorted(failed for caller in callers for failed in caller.failed)[:5]:
        print(f"  lost: status {code or 'none'}, {when - began:.1f} s after the update began")
    lost = statuses.total() - statuses[200]
    print(
        f"{statuses[200]} requests answered, {lost} lost; p50 {1000 * statistics.median(seconds):.0f} ms, slowest "
        f"{seconds[-1]:.2f} s; the update took {time.monotonic() - began:.0f} s; the name was asked {name.asked} times"
    )
    return 1 if lost or any(codes) else 0


if __name__ == "__main__":
    sys.exit(main())
