"""Run one variant's encoder in a process of its own; `measure.py` asks it for one round after another.

    python -m ernie_builders.compression.bench_worker ENGINE FILE SETTINGS_JSON THREADS WINDOWS.npz

Each line on stdin is a batch size and a number of texts; the answer is a line of JSON: the seconds of every batch, the
process's memory, and how much of it came with the model (the texts and the engine's library were loaded before). Each
model has its own process so that its memory can be measured, and rounds of several models can alternate.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ernie_runtime.engines import import_engine, load_engine
from ernie_runtime.steps.batching import pad_rows

WARM_UP = 3  # batches before the first timing of a batch size


def main(argv: list[str]) -> int:
    """Answer until stdin ends."""
    engine, file, settings, threads, windows_file = argv
    with np.load(windows_file) as arrays:
        ends = np.cumsum(arrays["lengths"])[:-1]
        ids, types = np.split(arrays["input_ids"], ends), np.split(arrays["token_type_ids"], ends)
        texts = arrays["texts"]  # windows of each text
    import_engine(engine)
    resident_before = _resident()
    run = load_engine(engine, Path(file), json.loads(settings), int(threads))
    first_window = np.concatenate([[0], np.cumsum(texts)])
    warmed_sizes: set[int] = set()
    _say("ready")
    for line in sys.stdin:
        batch, count = map(int, line.split())
        seconds = []
        for start, stop in _batches(batch, min(count, len(texts)), batch in warmed_sizes):
            rows = slice(first_window[start], first_window[stop])
            tensors = {"input_ids": pad_rows(ids[rows]), "token_type_ids": pad_rows(types[rows])}
            began = time.perf_counter()
            run(tensors)
            seconds.append(time.perf_counter() - began)
        timed = seconds if batch in warmed_sizes else seconds[WARM_UP:]
        warmed_sizes.add(batch)
        resident = _resident()
        _say(json.dumps({"seconds": timed, "memory": resident, "model_memory": resident - resident_before}))
    return 0


def _batches(batch: int, count: int, is_warm: bool) -> Iterator[tuple[int, int]]:
    """(first text, end) of every batch, after WARM_UP batches if the engine has not seen this batch size before."""
    if not is_warm:
        yield from [(0, min(batch, count))] * WARM_UP
    for start in range(0, count, batch):
        yield start, min(start + batch, count)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _resident() -> int:
    """Resident memory of this process in bytes (VmRSS)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
