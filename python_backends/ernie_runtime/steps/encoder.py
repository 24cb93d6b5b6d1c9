"""The encoder's step: runs an engine on micro-batches of rows of similar length."""

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
    """input_ids, token_type_ids INT64 [W, L] of any lengths -> the encoder's outputs, one call per micro-batch.

    per_token: names of the outputs with a token dimension. Rows of all requests are cut to their real length, run in
    micro-batches of rows of similar length, and scattered back. observe: see `batching.Observe`. single: see
    `run_rows`. max_length: the maximum of L; vocabulary_size: ids are below it; 0 if unknown.
    """

    inputs: tuple[str, ...] = (INPUT_IDS, TOKEN_TYPE_IDS)
    costly = True  # it is worth asking whether a large request was cancelled

    def __init__(
        self,
        engine: Engine,
        per_token: Collection[str],
        batching: Batching,
        observe: Observe | None = None,
        single: Engine | None = None,
        max_length: int = 0,
        vocabulary_size: int = 0,
    ) -> None:
        self.engine, self.per_token, self.batching, self.observe = engine, frozenset(per_token), batching, observe
        self.single, self.max_length, self.vocabulary_size = single, max_length, vocabulary_size

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
        """The encoder in `file`.

        engine: name of a Triton backend. parameters: those of the engine (`ernie_runtime.engines`),
        `intra_op_thread_count`, and the fields of `batching.Batching`. manifest: bounds what a request may hold, for
        requests that do not come from our tokenizer.
        """
        batching = Batching(**{f.name: int(parameters[f.name]) for f in fields(Batching) if f.name in parameters})
        threads = int(parameters.get(THREADS, 0))
        whole = load_engine(engine, file, parameters, threads, device)
        single = load_single(engine, file, parameters, device) if batching.calls > 1 else None
        bounds = (manifest.limits.max_length, manifest.vocabulary_size) if manifest else (0, 0)
        return cls(whole, per_token, batching, observe, single, *bounds)

    def run(self, requests: Sequence[Arrays]) -> list[dict[str, np.ndarray] | InvalidItem]:
        """The outputs of each request; per-token outputs are 0 after the end of a row."""
        faults = [self._fault(request) for request in requests]
        valid = [request for request, fault in zip(requests, faults, strict=True) if fault is None]
        results = iter(self._run(valid) if valid else [])
        return [next(results) if fault is None else InvalidItem(fault) for fault in faults]

    def _fault(self, request: Arrays) -> str | None:
        """Why the engine would fail on a request, or answer nonsense; None if all is well."""
        ids, types = request[INPUT_IDS], request[TOKEN_TYPE_IDS]
        if ids.shape != types.shape:
            return f"input_ids is {list(ids.shape)}, token_type_ids {list(types.shape)}; they must be alike"
        if self.max_length and ids.shape[1] > self.max_length:
            return f"input_ids has {ids.shape[1]} tokens a row; at most {self.max_length}"
        if ids.min() < 0 or types.min() < 0 or (self.vocabulary_size and ids.max() >= self.vocabulary_size):
            if not self.vocabulary_size:
                return "ids and types are from 0"
            return f"ids are from 0 to {self.vocabulary_size - 1}, types from 0"
        return None

    def rows(self, ids: Sequence[np.ndarray], types: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
        """The outputs of rows of any lengths, see `run_rows`."""
        return run_rows(self.engine, ids, types, self.batching, self.observe, self.single)

    def _run(self, requests: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
        ids: list[np.ndarray] = []
        types: list[np.ndarray] = []
        for request in requests:
            lengths = real_lengths(request[INPUT_IDS]).tolist()
            ids += [row[:n] for row, n in zip(request[INPUT_IDS], lengths, strict=True)]
            types += [row[:n] for row, n in zip(request[TOKEN_TYPE_IDS], lengths, strict=True)]
        rows = self.rows(ids, types)
        results: list[dict[str, np.ndarray]] = []
        first = 0
        for request in requests:
            count, length = request[INPUT_IDS].shape
            request_rows, lengths = rows[first : first + count], [len(row) for row in ids[first : first + count]]
            first += count
            results.append(
                {
                    name: stack([row[name] for row in request_rows])
                    if name not in self.per_token
                    else pad_rows([row[name][:n] for row, n in zip(request_rows, lengths, strict=True)], length)
                    for name in request_rows[0]
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
