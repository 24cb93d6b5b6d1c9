"""What docker/check.sh asks: equal answers, requests in flight at the end of a server, a gateway while one ends."""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ernie_triton import Client, ErnieTritonError
from ernie_triton.connection import Retry

TOLERANCE = 1e-5  # of a score: batches round differently
IN_FLIGHT = 24
CALLERS = 4
SECONDS = 12.0
TRIES = 8


def items_of(client: Client) -> dict[str, list[Any]]:
    """The examples of each task, as `make demo` asks them."""
    return {
        task.name: [texts[0] if len(texts) == 1 else list(texts) for texts in task.examples] for task in client.tasks()
    }


def close(first: Any, second: Any) -> bool:
    """Equal but for the last digits of numbers."""
    if isinstance(first, float) and isinstance(second, float):
        return abs(first - second) <= TOLERANCE
    if isinstance(first, dict) and isinstance(second, dict):
        return list(first) == list(second) and all(close(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(close, first, second))
    return bool(first == second)


def answers(reference: str, url: str) -> str:
    """Ask two servers the examples of every task."""
    equal = total = 0
    with Client(reference, timeout=120) as ours, Client(url, timeout=120) as theirs:
        items = items_of(ours)
        if set(items) != set(items_of(theirs)):
            raise SystemExit(f"{reference} and {url} serve different tasks")
        for task, examples in items.items():
            for first, second in zip(ours.predict(task, examples), theirs.predict(task, examples), strict=True):
                total += 1
                equal += close(json.loads(first.to_json()), json.loads(second.to_json()))
    if not total or equal < total:
        raise SystemExit(f"{total - equal} of {total} answers differ")
    return f"{total} answers of {len(items)} tasks, all equal to those of `ernie-triton serve`"


def drain(url: str, container: str) -> str:
    """Stop a container while requests are in flight."""
    with Client(url, timeout=120, retry=Retry(attempts=1)) as client:
        task, examples = next(iter(items_of(client).items()))
        texts = (examples * 16)[:16]
        client.predict(task, texts)
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            jobs = [pool.submit(client.predict, task, texts) for _ in range(IN_FLIGHT)]
            while not any(job.done() for job in jobs):  # all are accepted once the first is answered
                time.sleep(0.01)
            waiting = sum(not job.done() for job in jobs)
            began = time.monotonic()
            subprocess.run(["docker", "stop", "--time", "40", container], check=True, stdout=subprocess.DEVNULL)
            seconds = time.monotonic() - began
            failed = [str(error) for job in jobs if (error := job.exception()) is not None]
    if failed:
        raise SystemExit(f"{len(failed)} of {waiting} requests in flight failed: {failed[0]}")
    return f"{waiting} requests in flight at SIGTERM, all answered; it ended after {seconds:.1f} s"


def ask(port: int, task: str, example: Any) -> tuple[int, Any]:
    """Status and answers of one request to the gateway; 0 where nothing answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", f"/v1/tasks/{task}", json.dumps({"inputs": [example]}))
        response = connection.getresponse()
        return response.status, json.loads(response.read()).get("answers")
    except (OSError, http.client.HTTPException, ValueError):
        return 0, None
    finally:
        connection.close()


def gateway(port: int, task: str, example: str, command: list[str]) -> str:
    """Ask the gateway all the while a command runs against the servers behind it; refused callers ask again."""
    status, expected = ask(port, task, example)
    if status != 200:
        raise SystemExit(f"the gateway answers with status {status}")
    counts: Counter[str] = Counter()
    over = threading.Event()

    def call() -> None:
        while not over.is_set():
            for tried in range(TRIES):
                status, reply = ask(port, task, example)
                if status == 200:
                    break
                counts["refused"] += 1
                time.sleep(0.1 * 2**tried)
            counts["lost"] += status != 200
            counts["wrong"] += status == 200 and not close(reply, expected)
            counts["answered"] += status == 200

    with ThreadPoolExecutor(CALLERS) as pool:
        jobs = [pool.submit(call) for _ in range(CALLERS)]
        time.sleep(SECONDS / 3)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        time.sleep(2 * SECONDS / 3)
        over.set()
        for job in jobs:
            job.result()
    text = f"{counts['answered']} answered, {counts['refused']} refused at first, {counts['lost']} lost"
    if counts["lost"] or counts["wrong"]:
        raise SystemExit(f"{text}, {counts['wrong']} wrong")
    return f"{text}, 0 wrong"


def main() -> int:
    """One of the checks; its result in a line."""
    command = argparse.ArgumentParser(description=__doc__)
    checks = command.add_subparsers(dest="check", required=True)
    part = checks.add_parser("answers")
    part.add_argument("reference")
    part.add_argument("url")
    part = checks.add_parser("drain")
    part.add_argument("url")
    part.add_argument("container")
    part = checks.add_parser("gateway")
    part.add_argument("port", type=int)
    part.add_argument("task")
    part.add_argument("example")
    part.add_argument("command", nargs=argparse.REMAINDER, help="what happens to the servers meanwhile")
    parsed = vars(command.parse_args())
    check = {"answers": answers, "drain": drain, "gateway": gateway}[parsed.pop("check")]
    try:
        sys.stdout.write(check(**parsed) + "\n")
    except ErnieTritonError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
