"""Answers one part: the same run as over a single file, in a folder of its own; its output is put in place whole."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from ...local import LocalTasks
from ...tasks import Task
from ...workers import SortedTasks
from ..output_file import OutputFile
from ..plan import TABLES, Plan, table_file
from ..run import AnswerSource, FileRun
from .parts import Part, read_part
from .storage import open_storage

BAD = ".bad"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a process needs to answer parts; it can be sent to another machine."""

    task: str
    plan: Plan  # output: the folder or URL
    extension: str  # of the output's files, with the dot
    repository: str = ""  # of a task that runs in the process
    scratch: str | None = None  # a folder for parts in progress; None for the system's


@dataclass(frozen=True, kw_only=True)
class Done:
    """A part that is answered."""

    name: str
    answered: int
    bad: int


class PartWorker:
    """Answers parts, one after another. source: None for the files of the job's repository, on `threads` threads."""

    def __init__(self, job: Job, source: AnswerSource | None = None, threads: int = 0) -> None:
        self._job = job
        self._source: AnswerSource = source or SortedTasks(LocalTasks(job.repository, threads))
        self._task: Task = self._source.task(job.task)
        self._output, self._folder = open_storage(job.plan.output)
        self._input, _ = open_storage(job.plan.input)

    def answer(self, part: Part) -> Done:
        """Answer a part, and put its bad lines, if any, and then its answers in place: with these it is done."""
        scratch = Path(tempfile.mkdtemp(prefix="ernie-triton-", dir=self._job.scratch))
        try:
            path = scratch / f"out{self._job.extension}"
            plan = replace(self._job.plan, input=part.path, output=str(path), given_format=part.format)
            kind = table_file(path) if path.suffix in TABLES else OutputFile
            run = FileRun(self._source, self._task, plan, quiet=True)
            with self._input.open(part.path) as stream:
                out = kind(path, plan.run_of(self._task))
                try:
                    run.work(read_part(stream, part), out, part.before)
                except BaseException:
                    out.close()
                    raise
            target = f"{self._folder}/{part.name}{self._job.extension}"
            if run.bad:
                self._output.put(out.bad_path, target + BAD)
            self._output.put(path, target)
            return Done(name=part.name, answered=run.answered, bad=run.bad)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
