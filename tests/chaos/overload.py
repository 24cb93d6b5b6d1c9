"""Three times what a server can take, for a minute: python -m tests.chaos.overload [--seconds 60].

The task is published with its SLO, set or derived (docs/serving.md). Printed: the sustained rate, what became of the
requests, the server's memory after a third of the overload and at its end, and when it was well again. Exit code 1
where accepted requests took more than twice the SLO (99th percentile), memory grew by a tenth, or it was not well after
5 s.
"""

from __future__ import annotations

import argparse
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ernie_perf import processes
from ernie_perf.stress.load_client import LoadClient, Phase
from ernie_perf.stress.overload import CALLERS, RECOVERY_SECONDS, RECOVERY_SHARE, WARM_UP_SECONDS, figures_of
from ernie_perf.stress.own_server import server_of
from ernie_runtime.manifest import Manifest
from ernie_runtime.names import encoder_model
from ernie_runtime.repository import task_manifest

GROWTH = 1.1
WELL_SECONDS = 5.0
PAUSE_SECONDS = 1.0


def slo_of(repository: Path, manifest: Manifest) -> int:
    """Milliseconds, from the configuration of the recommended variant."""
    model = repository / encoder_model(manifest.task, manifest.recommended)
    text = (model / "configs" / "ragged.pbtxt").read_text(encoding="utf-8")
    match = re.search(r'"slo_ms"\s+value \{\s+string_value: "(\d+)"', text)
    if match is None:
        raise SystemExit(f"{model}: has no slo_ms; publish the task with slo_ms = -1, or one of yours")
    return int(match[1])


def watch(read: Callable[[], int], sizes: list[tuple[float, int]], stop: threading.Event) -> None:
    """Note the memory from time to time."""
    began = time.monotonic()
    while not stop.wait(PAUSE_SECONDS):
        sizes.append((time.monotonic() - began, read()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--task", default="tnews")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--factor", type=float, default=3.0)
    arguments = parser.parse_args()
    manifest = task_manifest(arguments.repository, arguments.task)
    slo, sizes, stop = slo_of(arguments.repository, manifest), list[tuple[float, int]](), threading.Event()
    items = [tuple(texts) for texts in manifest.examples]
    inputs = ["TEXT"] if len(items[0]) == 1 else ["TEXT", "TEXT_PAIR"]
    with server_of(arguments.repository, arguments.task) as server:
        pid = server.pid

        def memory() -> int:
            return sum(usage.rss for usage in processes.usage_by_role(pid).values())

        with LoadClient(server.grpc_address, arguments.task, inputs, items) as client:
            client.closed_loop(CALLERS, WARM_UP_SECONDS)
            closed = client.closed_loop(CALLERS, 10.0)
            sustained = sum(outcome.answered for outcome in closed) / max(outcome.ended for outcome in closed)
            thread = threading.Thread(target=watch, args=(memory, sizes, stop))
            thread.start()
            outcomes = client.open_loop(
                Phase(rate=arguments.factor * sustained, seconds=arguments.seconds),
                Phase(rate=RECOVERY_SHARE * sustained, seconds=RECOVERY_SECONDS),
            )
            stop.set()
            thread.join()
    figures = figures_of(
        arguments.task, slo_ms=slo, sustained=sustained, seconds=arguments.seconds, outcomes=outcomes, cpu_s={}
    )
    print("\n".join(figures.lines()[:-1]))
    third, end = (max(size for at, size in sizes if at <= share * arguments.seconds) for share in (1 / 3, 1))
    print(f"memory: {third / 2**20:.0f} MB after a third of the overload, {end / 2**20:.0f} MB at its end")
    is_good = figures.answered_p99_ms <= 2 * slo and end <= GROWTH * third and figures.recovered_s <= WELL_SECONDS
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
