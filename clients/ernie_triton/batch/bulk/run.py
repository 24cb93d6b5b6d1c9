"""A run over many files: which parts are left, who answers them, what to tell."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.json_types import Json

from ...errors import ErnieTritonError, FileError, OtherInput
from ...tasks import Task
from ..output_file import START_AGAIN
from ..plan import ARRAYS, Plan
from ..progress import FileProgress, duration
from .parts import Part, parts_of
from .storage import SCHEME, WILDCARDS, Storage, StoredFile, open_storage
from .work import BAD, Done, Job

FORMATS = ("jsonl", "csv", "tsv", "xlsx", "parquet")  # of the output
RECORD = "_run.json"  # in the output: what it was begun with
_PART = re.compile(r"-\d{5}\.(?:" + "|".join(FORMATS) + r")(?:\.bad)?$")
Engine = Callable[[Job, Sequence[Part]], Generator[Done, None, None]]


def is_many(path: str | None) -> bool:
    """Whether an input or output is more than one file: wildcards, a folder, a URL."""
    if path is None or (Path(path).exists() and not Path(path).is_dir()):
        return False
    return SCHEME in path or path.endswith("/") or Path(path).is_dir() or any(sign in path for sign in WILDCARDS)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run over many files is asked for besides the plan of each."""

    part_lines: int
    output_format: str | None  # None: parquet where all of the input is, else jsonl
    repository: str


class FolderRun:
    """One run; `engine` answers the parts that are left."""

    def __init__(self, task: Task, plan: Plan, settings: Settings, engine: Engine) -> None:
        self._task, self._plan, self._settings, self._engine = task, plan, settings, engine
        self._output: Storage
        self._output, self._folder = open_storage(plan.output.rstrip("/"))
        self._progress = FileProgress(task.name)
        self._answered = self._bad = 0

    def run(self) -> int:
        """The exit code: 0 when all parts are there, 1 when not, 130 when interrupted.

        Also 1 when all lines were bad, and with `strict` when some were.
        """
        try:
            return self._work()
        except KeyboardInterrupt:
            self._leave("interrupted", True)
            return 130
        except ErnieTritonError as error:
            self._leave(str(error), not isinstance(error, OtherInput))
            return 1

    def _work(self) -> int:
        plan = self._plan
        files = self._files()
        storage, _ = open_storage(plan.input)
        parts = [
            part for file in files for part in parts_of(storage, file, plan.given_format, self._settings.part_lines)
        ]
        names = [part.name for part in parts]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise FileError(f"two files of the input would be answered in {twice}: give them other names")
        extension = "." + self._format(parts)
        there = self._begin(files, extension)
        left = [part for part in parts if part.name + extension not in there]
        if len(left) < len(parts) and left:
            self._say(f"going on: {len(parts) - len(left):,} of {len(parts):,} parts are there")
        job = Job(task=self._task.name, plan=plan, extension=extension, repository=self._settings.repository)
        self._progress = FileProgress(self._task.name, len(parts), len(parts) - len(left))
        if left:
            self._answer(job, left, len(parts) - len(left))
        earlier = [part.name for part in parts if part.name + extension + BAD in there]
        self._say(self._summary(len(files), len(parts), len(left), len(earlier)))
        all_bad = self._bad and not self._answered and len(left) == len(parts)
        return 1 if all_bad or (plan.strict and (self._bad or earlier)) else 0

    def _answer(self, job: Job, left: Sequence[Part], earlier: int) -> None:
        with closing(self._engine(job, left)) as answered:
            for number, done in enumerate(answered, earlier + 1):
                self._answered += done.answered
                self._bad += done.bad
                self._progress.update(number, self._answered + self._bad, self._bad)

    def _files(self) -> list[StoredFile]:
        storage, pattern = open_storage(self._plan.input)
        files = storage.files(pattern)
        if not files:
            raise FileError(f"{self._plan.input} matches no file")
        return files

    def _format(self, parts: Sequence[Part]) -> str:
        default = "parquet" if all(part.format == "parquet" for part in parts) else "jsonl"
        return self._settings.output_format or default

    def _begin(self, files: Sequence[StoredFile], extension: str) -> set[str]:
        """What is in the output already. FileError, and nothing is touched, where it is of another run."""
        there = self._output.names(self._folder)
        ours = {name for name in there if _PART.search(name)}
        if self._plan.overwrite:
            for name in ours:
                self._output.remove(f"{self._folder}/{name}")
            there, ours = there - ours - {RECORD}, set()
        run = {
            **self._plan.run_of(self._task),
            "output_format": extension.removeprefix("."),
            "part_lines": self._settings.part_lines,
        }
        record = {"run": run, "files": {file.path: [file.size, file.changed] for file in files}}
        if RECORD in there:
            self._check(run, files)
        elif ours:
            raise FileError(f"{self._plan.output} has answers, but not {RECORD}, which describes them: {START_AGAIN}")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, RECORD)
            path.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            self._output.put(path, f"{self._folder}/{RECORD}")
        return there

    def _check(self, run: Json, files: Sequence[StoredFile]) -> None:
        where = f"{self._plan.output.rstrip('/')}/{RECORD}"
        try:
            with self._output.open(f"{self._folder}/{RECORD}") as stream:
                document = json.loads(stream.read())
            before, known = dict(document["run"]), dict(document["files"])
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(f"{where} cannot be read ({error!r}): {START_AGAIN}") from None
        for name in {**before, **run}:
            if before.get(name) != run.get(name):
                raise FileError(
                    f"{self._plan.output} was begun with {name} {before.get(name)}, this run has {name} "
                    f"{run.get(name)}: {START_AGAIN}"
                )
        for file in files:
            if file.path in known and known[file.path] != [file.size, file.changed]:
                raise OtherInput(f"{file.path} has changed since the output was begun: {START_AGAIN}")
        gone = known.keys() - {file.path for file in files}
        if gone:
            raise OtherInput(f"{sorted(gone)[0]} is no longer among the input, and has answers: {START_AGAIN}")

    def _leave(self, reason: str, may_resume: bool) -> None:
        self._progress.clear()
        if may_resume and self._answered + self._bad:
            reason += f"; {self._counts()} in finished parts are kept, the same command goes on from there"
        self._say(reason)

    def _counts(self) -> str:
        return f"{self._answered:,} answered, {self._bad:,} bad"

    def _summary(self, files: int, parts: int, left: int, earlier: int) -> str:
        count = f"{files:,} file{'s' * (files != 1)} in {parts:,} part{'s' * (parts != 1)}"
        more = f"; {earlier:,} earlier parts have bad lines" if earlier else ""
        if not left:
            return f"{self._plan.output} is finished already: {count}{more}; --overwrite starts again"
        seconds, lines = self._progress.seconds, self._answered + self._bad
        speed = f", {lines / seconds:,.0f} lines/s" if lines and seconds > 0 else ""
        skipped = f", {parts - left:,} of them earlier" if left < parts else ""
        bad = f" (PART{BAD})" if self._bad else ""
        return f"{self._plan.input}: {count}{skipped}; {self._counts()}{bad}{more}; {duration(seconds)}{speed}"

    def _say(self, message: str) -> None:
        self._progress.say(f"ernie-triton predict: {message}")


def check_output(plan: Plan) -> None:
    """FileError where an output cannot be a folder of parts."""
    path = Path(plan.output)
    if SCHEME not in plan.output and (path.suffix in ARRAYS or (path.exists() and not path.is_dir())):
        raise FileError(f"{plan.output}: several files are answered into a folder: --output answers/")
    if plan.output == "-":
        raise FileError("several files are answered into a folder: --output answers/")
