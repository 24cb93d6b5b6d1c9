"""The encoder's step: an engine behind micro-batches of rows of like length."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from ..engines import THREADS, Engine, load_engine, load_single
from ..errors import InvalidItem
from ..manifest import Manifest
from ..names import INPUT_IDS, TOKEN_TYPE_IDS
from ..numeric import stack
from .batching import Batching, Observe, pad_rows, run_rows
from .step import Arrays


class EncoderStep:
    """input_ids, token_type_ids INT64 [W, L] of any lengths -> the encoder's outputs, one call a micro-batch.

    per_token: names of the outputs with a token dimension. Rows of all requests are cut to their real length,
    run in micro-batches of rows of like length, and scattered back. observe: told the real and padding tokens of each
    run. single: see `run_rows`. longest, words: bounds of L and of ids, which our tokenizers keep; 0: unknown.
    """

    inputs: tuple[str, ...] = (INPUT_IDS, TOKEN_TYPE_IDS)
    costly = True  # so that it is worth asking whether a large request was cancelled

    def __init__(
        self,
        engine: Engine,
        per_token: Collection[str],
        batching: Batching,
        observe: Observe | None = None,
        single: Engine | None = None,
        longest: int = 0,
        words: int = 0,
    ) -> None:
        self.engine, self.per_token, self.batching, self.observe = engine, frozenset(per_token), batching, observe
        self.single, self.longest, self.words = single, longest, words

    @classmethod
    def load(
        cls,
        engine: str,
        file: Path,
        parameters: Mapping[str, str],
        per_token: Collection[str],
        device: str = "cpu",
        observe: Observe | None = None,
        manifest: Manifest | None = None,
    ) -> EncoderStep:
        """engine: a Triton backend. manifest: for bounds, where requests come from others than our tokenizer too.

        parameters: the engine's own (`ernie_runtime.engines`), `intra_op_thread_count`,
        and how micro-batches are cut and run: the fields of `ernie_runtime.steps.batching.Batching`."""
        batching = Batching(**{f.name: int(parameters[f.name]) for f in fields(Batching) if f.name in parameters})
        threads = int(parameters.get(THREADS, 0))
        loaded = load_engine(engine, file, parameters, threads, device)
        single = load_single(engine, file, parameters, device) if batching.calls > 1 else None
        bounds = (manifest.limits.max_length, manifest.vocabulary_size) if manifest else (0, 0)
        return cls(loaded, per_token, batching, observe, single, *bounds)

    def run(self, requests: Sequence[Arrays]) -> list[dict[str, np.ndarray] | InvalidItem]:
        """Per-token outputs are 0 behind a row's end."""
        faults = [self._fault(request) for request in requests]
        good = [request for request, fault in zip(requests, faults, strict=True) if fault is None]
        results = iter(self._run(good) if good else [])
        return [next(results) if fault is None else InvalidItem(fault) for fault in faults]

    def _fault(self, request: Arrays) -> str | None:
        """What an engine would fail at, or answer nonsense to."""
        ids, types = request[INPUT_IDS], request[TOKEN_TYPE_IDS]
        if ids.shape != types.shape:
            return f"input_ids is {list(ids.shape)}, token_type_ids {list(types.shape)}; they must be alike"
        if self.longest and ids.shape[1] > self.longest:
            return f"input_ids has {ids.shape[1]} tokens a row; at most {self.longest}"
        if ids.min() < 0 or types.min() < 0 or (self.words and ids.max() >= self.words):
            return f"ids are from 0 to {self.words - 1}, types from 0" if self.words else "ids and types are from 0"
        return None

    def _run(self, requests: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
        ids: list[np.ndarray] = []
        types: list[np.ndarray] = []
        for request in requests:
            lengths = real_lengths(request[INPUT_IDS]).tolist()
            ids += [row[:n] for row, n in zip(request[INPUT_IDS], lengths, strict=True)]
            types += [row[:n] for row, n in zip(request[TOKEN_TYPE_IDS], lengths, strict=True)]
        rows = run_rows(self.engine, ids, types, self.batching, self.observe, self.single)
        results: list[dict[str, np.ndarray]] = []
        first = 0
        for request in requests:
            count, length = request[INPUT_IDS].shape
            mine, real = rows[first : first + count], [len(row) for row in ids[first : first + count]]
            first += count
            results.append(
                {
                    name: stack([row[name] for row in mine])
                    if name not in self.per_token
                    else pad_rows([row[name][:n] for row, n in zip(mine, real, strict=True)], length)
                    for name in mine[0]
                }
            )
        return results


def real_lengths(input_ids: np.ndarray) -> np.ndarray:
    """Length of each row of [W, L] up to its last id that is not padding (0); at least 1."""
    real = input_ids != 0
    if real[:, -1].all():
        return np.full(len(real), real.shape[1])
    lengths: np.ndarray = np.maximum(np.where(real.any(axis=1), real.shape[1] - real[:, ::-1].argmax(axis=1), 1), 1)
    return lengths
