"""Updates a task of a loaded server again and again: python -m tests.chaos.reloads [--updates 100].

32 callers ask the task all the time, and its variants by name. Each update publishes another version, or takes the
newest one back (every fourth), and calls `ernie-triton reload`. Versions answer alike, but only if all their steps are
of the same one (versions.py). Printed: answers, wrong and failed ones (there must be none), and how long updates took.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton

from ernie_builders.repository.rollback import roll_back
from ernie_runtime.repository import task_manifest
from ernie_serve import problems
from ernie_triton import Client

from .versions import copy_task, publish_shuffled

CALLERS = 32


class Caller(threading.Thread):
    """Asks one model the same text until `stop`."""

    def __init__(self, url: str, model: str, text: str, pause: float, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.answers, self.failed, self.slowest = Counter[str](), list[str](), 0.0
        self._url, self._model, self._text, self._pause, self._stop_event = url, model, text, pause, stop

    def run(self) -> None:
        tensor = triton.InferInput("TEXT", [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[self._text.encode()]], dtype=object))
        with triton.InferenceServerClient(self._url) as client:
            while not self._stop_event.wait(self._pause):
                began = time.monotonic()
                try:
                    reply = client.infer(self._model, [tensor], client_timeout=30)
                except triton.InferenceServerException as error:
                    self.failed.append(str(error))
                    continue
                self.answers[json.loads(reply.as_numpy("RESULT").item())["label"]] += 1
                self.slowest = max(self.slowest, time.monotonic() - began)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--task", default="tnews", help="of a kind that classifies texts")
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two requests of a caller")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder, "repository")
        repository.mkdir()
        copy_task(arguments.repository, arguments.task, repository)
        ports = ["--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]
        words = [sys.executable, "-m", "ernie_serve", "--repository", str(repository), *ports]
        serve = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        try:
            return chaos(serve, repository, arguments)
        finally:
            serve.terminate()
            serve.wait()


def chaos(serve: subprocess.Popen[str], repository: Path, arguments: argparse.Namespace) -> int:
    assert serve.stdout is not None
    url, models = "", list[str]()
    for line in serve.stdout:
        url = line.split()[1] if line.strip().startswith("gRPC") else url
        if line.strip().startswith("tasks"):
            models = line.split()[1:]
            break
    else:
        return 1
    threading.Thread(target=lambda: [print("   ", line.rstrip()) for line in serve.stdout or ()], daemon=True).start()
    stop = threading.Event()
    with Client(url) as client:
        text = client.task(arguments.task).examples[0][0]
        expected = client.predict(arguments.task, text)[0].label
    callers = [Caller(url, models[i % len(models)], text, arguments.pause, stop) for i in range(CALLERS)]
    for caller in callers:
        caller.start()
    seconds = list[float]()
    for number in range(1, arguments.updates + 1):
        if number % 4:
            version = publish_shuffled(repository, arguments.task)
        else:
            version = roll_back(repository, task_manifest(repository, arguments.task)).version
        began = time.monotonic()
        command = [sys.executable, "-m", "ernie_triton", "reload", arguments.task, "--repository", str(repository)]
        done = subprocess.run(command, capture_output=True, text=True)
        seconds.append(time.monotonic() - began)
        lines = (done.stdout + done.stderr).strip().splitlines()
        print(f"{number}. version {version}: {lines[-1] if lines else 'nothing said'}", flush=True)
        if done.returncode:
            break
    stop.set()
    for caller in callers:
        caller.join(40)
    answers, failed = Counter[str](), Counter[str]()
    for caller in callers:
        answers.update(caller.answers)
        failed.update(caller.failed)
    for message, count in failed.most_common(5):
        print(f"  failed, {count} times: {problems.one_line(message)[:300]}")
    wrong = answers.total() - answers[expected]
    print(f"{len(seconds)} updates of {' '.join(models)}: {answers.total()} answers, {wrong} wrong,", end=" ")
    print(f"{failed.total()} failed; slowest answer {max(c.slowest for c in callers):.2f} s;", end=" ")
    print(f"an update took {statistics.median(seconds):.1f} s (median), at most {max(seconds):.1f} s")
    return 1 if wrong or failed or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
