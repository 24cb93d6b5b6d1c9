"""Kills and stops processes of a loaded server, one after the other: python -m tests.chaos.kills [--kills 10].

32 callers ask two tasks all the time. Each victim is a random process of the server: a step's or tritonserver itself,
killed or stopped. Printed for each: how long its task did not answer, and what the other task did meanwhile; at the
end: wrong answers (there must be none) and the longest gap.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from ernie_serve import stubs
from ernie_triton import Client, ErnieTritonError

CALLERS = 32
SETTLE_SECONDS = 3.0


class Caller(threading.Thread):
    """Asks one task the same text until `stop`, and notes when it was answered."""

    def __init__(self, url: str, task: str, text: str, expected: object, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.task, self.answered, self.refused, self.wrong = task, list[float](), 0, 0
        self._url, self._text, self._expected, self._stop_event = url, text, expected, stop

    def run(self) -> None:
        with Client(self._url, timeout=10) as client:
            while not self._stop_event.is_set():
                try:
                    (result,) = client.predict(self.task, self._text)
                except ErnieTritonError:
                    self.refused += 1
                    time.sleep(0.05)
                    continue
                self.answered.append(time.monotonic())
                self.wrong += label(result) != self._expected


def label(result: object) -> object:
    """What must be equal in every answer; scores may differ in the last digit."""
    return getattr(result, "label", None) or [(e.label, e.start, e.end) for e in getattr(result, "entities", ())]


def ancestors(pid: int) -> set[int]:
    """Processes that started this one, directly or not."""
    found = set[int]()
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.add(pid)
    return found


def gap(callers: list[Caller], task: str, since: float, until: float) -> float:
    """The longest time without any answer of a task."""
    times = sorted(t for caller in callers if caller.task == task for t in caller.answered if since - 1 <= t <= until)
    return max((b - a for a, b in zip([since, *times], [*times, until], strict=True)), default=until - since)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--tasks", nargs=2, default=["tnews", "msra_ner"])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--servers-too", action="store_true", help="tritonserver itself is a victim, too")
    arguments = parser.parse_args()
    ports = ["--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]
    words = [sys.executable, "-m", "ernie_serve", "--repository", str(arguments.repository), *ports]
    serve = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert serve.stdout is not None
    url = ""
    for line in serve.stdout:
        url = line.split()[1] if line.strip().startswith("gRPC") else url
        if line.strip().startswith("tasks"):
            break
    threading.Thread(target=lambda: [print("   ", line.rstrip()) for line in serve.stdout or ()], daemon=True).start()
    try:
        chaos(url, serve.pid, arguments)
    finally:
        serve.terminate()
        serve.wait()


def chaos(url: str, serve: int, arguments: argparse.Namespace) -> None:
    generator, stop = random.Random(arguments.seed), threading.Event()
    with Client(url) as client:
        examples = {name: client.task(name).examples[0][0] for name in arguments.tasks}
        expected = {name: label(client.predict(name, text)[0]) for name, text in examples.items()}
    callers = [
        Caller(url, name, examples[name], expected[name], stop)
        for name in (arguments.tasks[i % 2] for i in range(CALLERS))
    ]
    for caller in callers:
        caller.start()
    gaps = []
    for number in range(arguments.kills):
        time.sleep(SETTLE_SECONDS)
        running = [s for s in stubs.stubs_of("ernie-triton-") if serve in ancestors(s.server)]  # no other server's
        victim = generator.choice([s for s in running if any(s.model.startswith(t) for t in arguments.tasks)])
        pid, name = victim.pid, victim.model
        if arguments.servers_too and number % 5 == 4:
            pid, name = victim.server, "tritonserver"
        kind = generator.choice([signal.SIGKILL, signal.SIGSTOP]) if name != "tritonserver" else signal.SIGKILL
        began = time.monotonic()
        os.kill(pid, kind)
        time.sleep(10 if name != "tritonserver" else 25)
        ended = time.monotonic()
        row = {task: round(gap(callers, task, began, ended), 2) for task in arguments.tasks}
        gaps.append(max(row.values()))
        print(f"{number + 1}. {kind.name} to {name}: longest gap {json.dumps(row)} s", flush=True)
    stop.set()
    for caller in callers:
        caller.join(15)
    answered, wrong = sum(len(c.answered) for c in callers), sum(c.wrong for c in callers)
    print(f"{answered} answers, {wrong} wrong, {sum(c.refused for c in callers)} failed requests")
    print(f"longest gap of a task: {max(gaps)} s")


if __name__ == "__main__":
    main()
