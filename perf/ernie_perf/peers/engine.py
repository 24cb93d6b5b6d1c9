"""The bare engine: the upper limit of all servers. Texts are tokenized before the clock starts."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import numpy as np

from ernie_runtime.steps.batching import Batching, micro_batches

from .closed_loop import LoopResult
from .standalone import KINDS, Answer, Case, Item, PlainEncoder, PlainTokenizer, answers_of

BATCH_SIZES = (8, 16, 32, 64)  # tried with several callers


class EnginePeer:
    """ONNX Runtime in this process: one text a call for one caller, batches of texts sorted by length for several.

    A text's latency is that of its call.
    """

    name = "engine"
    description = "bare ONNX Runtime on texts tokenized before: the limit"
    packages: tuple[str, ...] = ()
    extra = ""
    kinds = tuple(KINDS)

    def start(self, case: Case, port: int, example: Item) -> str:
        """Load the model; nothing listens."""
        del port
        self.tokenizer, self.encoder, self.answers = PlainTokenizer(case), PlainEncoder(case), answers_of(case)
        self.run([example], 1)
        return "in this process"

    def run(self, items: Sequence[Item], concurrency: int) -> LoopResult:
        """With several callers, the fastest of several batch sizes."""
        sizes = (1,) if concurrency == 1 else BATCH_SIZES
        return min((self._run(items, size) for size in sizes), key=lambda result: result.seconds)

    def answer(self, body: bytes) -> Answer:
        """As `run` wrote it."""
        answer: Answer = json.loads(body)
        return answer

    def stop(self) -> None:
        """Nothing to end."""

    def _run(self, items: Sequence[Item], size: int) -> LoopResult:
        lengths = self.tokenizer.lengths(items)
        cuts = (
            micro_batches(lengths, Batching(max_rows=size)) if size > 1 else [np.array([i]) for i in range(len(items))]
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
        return LoopResult(seconds=ends[-1] - ends[0], latencies=latencies, answers=answers)
