"""What runs the parts: this process, several of this machine, or the actors of a Ray cluster."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import tempfile
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from typing import Any

from ernie_runtime.install import install_hint

from ...errors import ErnieTritonError, FileError, LocalError
from ...workers import DIED, begin_worker, cores
from ..run import AnswerSource
from .parts import Part
from .work import Done, Job, PartWorker

AHEAD = 2  # parts a worker that are handed out


def in_this_process(job: Job, source: AnswerSource, parts: Sequence[Part]) -> Generator[Done, None, None]:
    """One part after the other, by a server or the task of this process."""
    worker = PartWorker(job, source)
    yield from map(worker.answer, parts)


def in_processes(job: Job, workers: int, parts: Sequence[Part]) -> Generator[Done, None, None]:
    """In `workers` processes of this machine, as they are done.

    Closed before its end it ends them at once: a part in progress may take minutes, and is begun again anyway.
    """
    scratch = tempfile.TemporaryDirectory(prefix="ernie-triton-")
    job = replace(job, scratch=scratch.name)
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _begin, (job, max(1, cores() // workers)))
    waiting, running = iter(parts), set[Future[Done]]()
    try:
        while True:
            for _, part in zip(range(AHEAD * workers - len(running)), waiting, strict=False):
                running.add(pool.submit(_answer, part))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool:
        raise LocalError(DIED) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in multiprocessing.active_children():
            worker.terminate()
            worker.join()
        scratch.cleanup()


def on_ray(job: Job, workers: int | None, parts: Sequence[Part]) -> Generator[Done, None, None]:
    """By Ray Data: actors that hold the task, on the cluster of RAY_ADDRESS, else on a Ray of this machine.

    A part whose actor or machine is lost is given to another one, by Ray.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # or every actor's start is reported as an error
    try:
        import ray
        import ray.data
    except ModuleNotFoundError:
        raise FileError(f"--engine ray takes Ray; the extra 'bulk' brings it: {install_hint('bulk')}") from None
    ray.init(ignore_reinit_error=True, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    workers = min(workers or int(ray.cluster_resources().get("CPU", 1)), len(parts))
    try:
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = [{"part": json.dumps(asdict(part))} for part in parts]
        answers = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _RayWorker,
            fn_constructor_args=(job,),
            batch_size=1,
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
        )
        for row in answers.iter_rows():
            if row["error"]:
                raise LocalError(row["error"])
            yield Done(name=row["name"], answered=int(row["answered"]), bad=int(row["bad"]))
    except ray.exceptions.RayError as error:
        raise LocalError(f"Ray failed: {str(error).strip().splitlines()[-1]}") from None
    finally:
        ray.shutdown()


class _RayWorker:
    """An actor: the model is loaded once, then it answers part after part on one core."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._worker: PartWorker | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """The parts of a batch; what a person can mend comes back as text, so that Ray does not try it again."""
        rows = [self._answer(Part(**json.loads(str(text)))) for text in batch["part"]]
        return {name: [row[name] for row in rows] for name in ("name", "answered", "bad", "error")}

    def _answer(self, part: Part) -> dict[str, Any]:
        try:
            self._worker = self._worker or PartWorker(self._job, threads=1)
            return {**asdict(self._worker.answer(part)), "error": ""}
        except ErnieTritonError as error:
            return {"name": part.name, "answered": 0, "bad": 0, "error": str(error)}


_worker: PartWorker | None = None  # of a process


def _begin(job: Job, threads: int) -> None:
    global _worker
    begin_worker()
    _worker = PartWorker(job, threads=threads)


def _answer(part: Part) -> Done:
    assert _worker is not None
    return _worker.answer(part)
