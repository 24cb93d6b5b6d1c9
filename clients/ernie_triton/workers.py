"""Answers the tasks of a model repository in several processes of this machine: no server, every core in use.

Source: sorting a window of texts by length before it is split into batches, as translation and embedding toolkits do
(fairseq, sentence-transformers); here the window is many batches wide, so that a batch has hardly any padding.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .errors import LocalError
from .items import Item, Row, encode_item, group_rows
from .local import BATCH_BYTES, LocalTasks, RepositoryTasks
from .replies import Reply
from .requests import Outcome
from .results import TextError
from .tasks import Task

WINDOW = 16  # batches of texts that are sorted by length together
WINDOW_BYTES = WINDOW * BATCH_BYTES  # of text in them


DIED = "a worker process has died, most likely for want of memory: give fewer --workers, or a smaller --batch-size"


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


class SortedTasks(RepositoryTasks):
    """Answers from the files of a model repository in this process, the texts of 16 batches sorted by length.

    `stream` reads up to two windows of texts ahead.
    """

    workers = 1

    def __init__(self, local: LocalTasks) -> None:
        self._local = local

    def task(self, name: str) -> Task:
        """One task by its name, or its title; UnknownTask where the repository has none."""
        return self._local.task(name)

    def _stream(
        self, task: Task, texts: Iterable[Item], variant: str | None, batch_size: int, numeric: bool
    ) -> Generator[Reply | TextError, None, None]:
        entries = (encode_item(item, task.inputs) for item in texts)
        in_flight: deque[_Window] = deque()
        number = 0

        def oldest() -> Iterator[Reply | TextError]:
            nonlocal number
            for outcome in in_flight.popleft().outcomes():
                yield TextError(number, outcome) if isinstance(outcome, str) else outcome
                number += 1

        try:
            for window in group_rows(entries, WINDOW * batch_size, WINDOW_BYTES):
                groups = by_length(window, min(batch_size, -(-len(window) // self.workers)))
                futures = [self.submit(task, [window[i] for i in group], variant, numeric) for group in groups]
                in_flight.append(_Window(entries=window, groups=groups, futures=futures))
                if len(in_flight) > 1:  # so workers have the next window while this one is written
                    yield from oldest()
            while in_flight:
                yield from oldest()
        finally:
            for sent in in_flight:
                sent.cancel()

    def submit(
        self, task: Task, rows: Sequence[Row | str], variant: str | None, numeric: bool
    ) -> Future[list[Outcome]]:
        """Begin to answer rows of similar length; here, in this process, they are answered at once."""
        answered: Future[list[Outcome]] = Future()
        answered.set_result(self._local.outcomes(task, rows, variant, numeric))
        return answered


class WorkerTasks(SortedTasks):
    """As SortedTasks, in several processes of this machine.

    workers: processes, each with its own copy of the model and its share of the cores; 0 for one a core. They start at
    the first text and end with this object, or with this process, whatever ends it.
    """

    def __init__(self, repository: str | Path, workers: int = 0) -> None:
        super().__init__(LocalTasks(repository))
        self.workers = workers or cores()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> WorkerTasks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; each finishes the batch that it works on."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None

    def _stream(
        self, task: Task, texts: Iterable[Item], variant: str | None, batch_size: int, numeric: bool
    ) -> Generator[Reply | TextError, None, None]:
        try:
            yield from super()._stream(task, texts, variant, batch_size, numeric)
        except BrokenProcessPool:
            self._pool = None
            raise LocalError(DIED) from None

    def submit(
        self, task: Task, rows: Sequence[Row | str], variant: str | None, numeric: bool
    ) -> Future[list[Outcome]]:
        """Hand rows of similar length to a worker."""
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            share = max(1, cores() // self.workers)
            self._pool = ProcessPoolExecutor(self.workers, context, _begin, (str(self._local.repository), share))
        return self._pool.submit(_answer, task.name, rows, variant, numeric)


def by_length(entries: Sequence[Row | str], size: int) -> list[list[int]]:
    """Groups of the rows' indices, at most `size` and BATCH_BYTES each, the longest rows first: what takes longest is
    begun first. Entries that are no row (a reason) are in no group."""
    lengths = {i: sum(map(len, entry)) for i, entry in enumerate(entries) if isinstance(entry, tuple)}
    groups: list[list[int]] = []
    room = 0
    for i in sorted(lengths, key=lambda i: -lengths[i]):
        if not groups or len(groups[-1]) == size or lengths[i] > room:
            groups.append([])
            room = BATCH_BYTES
        groups[-1].append(i)
        room -= lengths[i]
    return groups


@dataclass(frozen=True, kw_only=True)
class _Window:
    """Entries in the order of the input, and the answers to come to their groups."""

    entries: Sequence[Row | str]
    groups: Sequence[Sequence[int]]
    futures: Sequence[Future[list[Outcome]]]

    def outcomes(self) -> list[Outcome]:
        """Wait for all of them; in the order of the input."""
        outcomes: dict[int, Outcome] = {i: entry for i, entry in enumerate(self.entries) if isinstance(entry, str)}
        for group, future in zip(self.groups, self.futures, strict=True):
            outcomes |= zip(group, future.result(), strict=True)
        return [outcomes[i] for i in range(len(self.entries))]

    def cancel(self) -> None:
        """Begin none of what has not begun."""
        for future in self.futures:
            future.cancel()


_tasks: LocalTasks | None = None  # of a worker process


def begin_worker() -> None:
    """In a worker: a Ctrl-C is the parent's to handle, and without the parent there is nothing left to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _begin(repository: str, threads: int) -> None:
    global _tasks
    begin_worker()
    _tasks = LocalTasks(repository, threads)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _answer(task: str, entries: Sequence[Row | str], variant: str | None, numeric: bool) -> list[Outcome]:
    assert _tasks is not None
    return _tasks.outcomes(_tasks.task(task), entries, variant, numeric)
