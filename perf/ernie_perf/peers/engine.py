"""The bare engine: the limit that no server can pass. Texts are tokenized before the clock starts."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from ernie_runtime.steps.batching import Batching, micro_batches

from .answers import KINDS, Answer, answers_of
from .case import Case, Item
from .closed_loop import Run
from .plain import PlainEncoder, PlainTokenizer

ROWS = (8, 16, 32, 64)  # largest batches tried


class EnginePeer:
    """ONNX Runtime in this process; with one caller a text a call, with several batches of texts sorted by length.

    A text's latency is that of its call.
    """

    name = "engine"
    what = "bare ONNX Runtime on texts tokenized before: the limit"
    packages: tuple[str, ...] = ()
    extra = ""
    kinds = tuple(KINDS)

    def start(self, case: Case, port: int, example: Item) -> str:
        """Load the model; nothing listens."""
        del port
        raw = asdict(case)
        self.tokenizer, self.encoder, self.answers = PlainTokenizer(raw), PlainEncoder(raw), answers_of(raw)
        self.run([example], 1)
        return "in this process"

    def run(self, items: Sequence[Item], concurrency: int) -> Run:
        """With several callers, the fastest of several sizes of batches."""
        sizes = (1,) if concurrency == 1 else ROWS
        return min((self._pass(items, rows) for rows in sizes), key=lambda run: run.seconds)

    def answer(self, body: bytes) -> Answer:
        """As `run` wrote it."""
        found: Answer = json.loads(body)
        return found

    def stop(self) -> None:
        """Nothing to end."""

    def _pass(self, items: Sequence[Item], rows: int) -> Run:
        lengths = self.tokenizer.lengths(items)
        cuts = (
            micro_batches(lengths, Batching(max_rows=rows)) if rows > 1 else [np.array([i]) for i in range(len(items))]
        )
        tensors = [self.tokenizer([items[i] for i in cut]) for cut in cuts]
        outputs, ends = [], [time.perf_counter()]
        for batch in tensors:
            outputs.append(self.encoder(batch))
            ends.append(time.perf_counter())
        latencies, answers = [0.0] * len(items), [b""] * len(items)
        for number, (cut, values) in enumerate(zip(cuts, outputs, strict=True)):
            for i, answer in zip(cut, self.answers(values), strict=True):
                latencies[i], answers[i] = ends[number + 1] - ends[number], json.dumps(answer).encode()
        return Run(ends[-1] - ends[0], latencies, answers)
