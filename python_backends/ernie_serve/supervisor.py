"""Keeps a server answering: replaces steps that died or hang, and starts tritonserver again when it ends or hangs.

Triton itself goes on saying that it is ready when the process of a model has gone, and never replaces it.

- A process of a model that has gone, or that a signal holds for `STOPPED_SECONDS`: that model is unloaded and loaded
  again, which takes some 0.4 s; other tasks do not notice.
- A task whose example gets no answer, or a wrong kind of one, `PROBE_FAILURES` times: so are its steps.
- tritonserver ended, or has not answered for `HUNG_SECONDS`: it is started again, after a pause that doubles from
  1 to 30 s. After `RESTARTS` starts within `RESTART_WINDOW` seconds the command gives up and says why.
"""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ernie_serve import stubs
from ernie_serve.problems import ServeError, one_line
from ernie_serve.server import TritonServer
from ernie_serve.tasks import BUSY, ServedTask, served_tasks

CHECK_SECONDS = 0.25
STOPPED_SECONDS = 1.0
HUNG_SECONDS = 10.0
PROBE_SECONDS = 10.0  # between two rounds of examples
PROBE_FAILURES = 2
RESTARTS = 5
RESTART_WINDOW = 600.0
LONGEST_PAUSE = 30.0


@dataclass(kw_only=True)
class TaskState:
    """What is known of a task. reason: why it does not answer; empty where it does."""

    task: ServedTask
    reason: str = ""
    failures: int = 0


@dataclass(kw_only=True)
class State:
    """What the server can do now, for whoever asks for its readiness."""

    tasks: dict[str, TaskState] = field(default_factory=dict)
    reason: str = "the server is starting"

    def unready(self, task: str | None = None) -> dict[str, str]:
        """Reasons by task, or the server's own; empty where all is well. task: look at this one only."""
        if self.reason:
            return {"server": self.reason}
        if task is not None and task not in self.tasks:
            return {task: "there is no such task"}
        return {name: state.reason for name, state in self.tasks.items() if state.reason and task in (None, name)}


class Supervisor:
    """Watches one server that was started with `ServerOptions.supervised`. say: takes each line for the operator."""

    def __init__(self, server: TritonServer, say: Callable[[str], None]) -> None:
        self.server, self.state = server, State()
        self.also = list[Callable[[], str]]()
        """What is looked at besides: each repairs something if it must, and then says so."""
        self._say = say
        self._expected: Counter[str] = Counter()
        self._triton = 0
        self._stopped_since: dict[int, float] = {}
        self._starts: deque[float] = deque(maxlen=RESTARTS)
        self._answered = 0.0
        self._closing = threading.Event()
        self._repairs = 0
        self._lock = threading.Lock()  # held during a repair, and while a probe acts

    def begin(self) -> None:
        """Take the server as it is now, ready, for what it must be."""
        running = self._stubs()
        self._expected = stubs.instances(running)
        self._triton = running[0].server if running else 0
        self._stopped_since.clear()
        self.state.tasks = {task.name: TaskState(task=task) for task in served_tasks(self.server.health)}
        self.state.reason = ""
        self._answered = time.monotonic()

    def run(self) -> None:
        """Watch until `close`, or until the server has to be given up: ServeError says why."""
        self._answered = time.monotonic()  # since `begin` the gateway may have taken its time to start
        threads = [threading.Thread(target=self._probe_rounds, daemon=True)]
        threads.append(threading.Thread(target=self._liveness, daemon=True))
        for thread in threads:
            thread.start()
        try:
            while not self._closing.wait(CHECK_SECONDS):
                self._check()
        finally:
            self._closing.set()

    def close(self) -> None:
        """Let `run` return."""
        self._closing.set()

    def expect(self, models: Iterable[str]) -> None:
        """From now on these models, which have just been loaded, must have as many processes as they have now."""
        now = stubs.instances(self._stubs())
        with self._repair():
            for model in models:
                self._expected[model] = now[model] or 1

    def forget(self, models: Iterable[str]) -> None:
        """These models are about to be unloaded."""
        with self._repair():
            for model in models:
                del self._expected[model]

    def renew(self) -> None:
        """The tasks have changed."""
        with self._repair():
            known = {(state.task.name, state.task.steps): state for state in self.state.tasks.values()}
            tasks = served_tasks(self.server.health)
            self.state.tasks = {t.name: known.get((t.name, t.steps)) or TaskState(task=t) for t in tasks}

    def _check(self) -> None:
        for look in self.also:
            if news := look():
                self._say(news)
        if self.server.poll() is not None:
            with self._repair():
                self._restart(self.server.explain_exit())
        elif self._triton and not stubs.is_running(self._triton):
            return  # it has just ended: `poll` will say so when what it left has been removed
        elif time.monotonic() - self._answered > HUNG_SECONDS:
            with self._repair():
                self.server.kill()
                self._restart(f"tritonserver gave no answer for {HUNG_SECONDS:g} s")
        else:
            for model, reason in list(self._broken_models().items())[:1]:  # the rest when this one is in place
                with self._repair():
                    if model in self._expected:  # an update may have taken it out meanwhile
                        self._replace(model, reason)

    @contextmanager
    def _repair(self) -> Iterator[None]:
        """No probe acts meanwhile; what one has found until then no longer counts."""
        with self._lock:
            self._repairs += 1
            yield

    def _broken_models(self) -> dict[str, str]:
        """Models with an instance that is gone, or held by a signal for long; the latter is killed."""
        before, running, now = Counter(self._expected), self._stubs(), time.monotonic()
        held = {stub.pid for stub in running if stub.is_stopped}
        self._stopped_since = {pid: self._stopped_since.get(pid, now) for pid in held}
        broken = {}
        for stub in running:
            if now - self._stopped_since.get(stub.pid, now) >= STOPPED_SECONDS:
                _kill(stub.pid)
                broken[stub.model] = "was stopped by a signal"
        # An update may change what is expected while the processes are looked through.
        missing = (before & self._expected) - stubs.instances(running)
        return {**dict.fromkeys(missing, "has ended"), **broken}

    def _replace(self, model: str, reason: str) -> None:
        """Load a model again. A server that cannot is started again."""
        self.server.has_lost_requests = True
        began = time.monotonic()
        owners = [state for state in self.state.tasks.values() if model in state.task.steps]
        for owner in owners:
            owner.reason = f"the process of {model} {reason}"
        try:
            self.server.reload(model)
        except (ServeError, OSError, http.client.HTTPException) as error:
            if self._triton and not stubs.is_running(self._triton):
                return  # tritonserver has ended meanwhile, and is started again at the next check
            self.server.kill()
            self._restart(f"the process of {model} {reason}, and the model could not be loaded again ({error})")
            return
        for owner in owners:
            owner.reason, owner.failures = "", 0
        self._answered = time.monotonic()
        self._say(f"the process of {model} {reason}: loaded again in {time.monotonic() - began:.1f} s")

    def _restart(self, reason: str) -> None:
        self.state.reason = reason
        now = time.monotonic()
        if len(self._starts) == RESTARTS and now - self._starts[0] < RESTART_WINDOW:
            raise ServeError(f"{reason}; it was started {RESTARTS} times within {RESTART_WINDOW / 60:g} minutes")
        recent = sum(now - start < RESTART_WINDOW for start in self._starts)
        pause = min(2.0**recent, LONGEST_PAUSE) if recent else 0.0
        self._say(f"{reason}: started again" + (f" in {pause:g} s" if pause else ""))
        time.sleep(pause)
        self._starts.append(time.monotonic())
        self.server.end_leftovers()
        self.server.start()
        try:
            seconds = self.server.wait_ready()
        except ServeError as error:  # a step of the new one may have been killed, too
            self._restart(f"it did not start ({error})")
            return
        self.begin()
        self._say(f"ready again after {seconds:.1f} s")

    def _liveness(self) -> None:
        """Note when the server last answered."""
        while not self._closing.wait(1.0):
            if not self.state.reason and self._answers():
                self._answered = time.monotonic()

    def _answers(self) -> bool:
        """Whether tritonserver answers, and is not caught in its own locks: then it still says that it is alive."""
        health = self.server.health
        name = next(iter(self.state.tasks), None)
        try:
            return health.answered(name) >= 0 if name else health.live()
        except (OSError, http.client.HTTPException, ValueError):
            return False

    def _probe_rounds(self) -> None:
        """Ask each task for the answer to its example from time to time."""
        while not self._closing.wait(PROBE_SECONDS):
            for state in list(self.state.tasks.values()):
                if self.state.reason or self._closing.is_set():
                    break
                self._probe(state)

    def _probe(self, state: TaskState) -> None:
        repairs = self._repairs
        fault = state.task.fault(self.server.health)
        with self._lock:
            if repairs == self._repairs and fault != BUSY:
                self._judge(state, fault)

    def _judge(self, state: TaskState, fault: str) -> None:
        state.failures = state.failures + 1 if fault else 0
        if state.failures < PROBE_FAILURES:
            state.reason = "" if not fault else state.reason
            return
        state.reason = f"its example is not answered: {one_line(fault)}"
        if state.failures == PROBE_FAILURES:
            self._say(f"task {state.task.name}: {state.reason}; its steps are loaded again")
            for stub in self._stubs():
                if stub.model in state.task.steps:
                    _kill(stub.pid)  # the main loop replaces what has gone

    def _stubs(self) -> list[stubs.Stub]:
        return stubs.stubs_of(self.server.shared_memory_prefix)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
