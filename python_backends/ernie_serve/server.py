"""Starts, watches and stops one tritonserver from the pip wheel."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from ernie_serve import aliases, backends, cache, ports, problems, stubs, wheel
from ernie_serve.arguments import arguments
from ernie_serve.health import Health
from ernie_serve.idle import STILL_SECONDS, are_still, wait_until_idle
from ernie_serve.loading import loaded_models
from ernie_serve.options import ServerOptions
from ernie_serve.problems import ServeError
from ernie_serve.view import View

logger = logging.getLogger(__name__)

KEPT_LOGS = 3
DRAINING = "ERNIE_DRAINING"  # ernie_runtime.triton.draining.VARIABLE
ADMISSION = "ERNIE_ADMISSION"  # ernie_runtime.triton.backend.ADMISSION
KEY_HEADER = "ernie-key"
GUARD = Path(__file__).with_name("guard.py")
POLL_SECONDS = 0.05
STARTS = 3  # at most, where tritonserver meets a race of its own (problems.is_loading_race)
SETTLE_SECONDS = 3.0
"""The wait after a model failed. Triton ends by itself once the others are loaded, unless a stub never began."""


def keep_old(log: Path) -> None:
    """Rename a log that exists: .1 is the youngest, and what would be older than .3 is removed."""
    for number in range(KEPT_LOGS, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        younger = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
        if younger.exists():
            younger.replace(older)


class TritonServer:
    """One tritonserver; a context manager that starts it, waits until it is ready, and stops it.

    It ends with this process, together with its stubs, and leaves no shared memory.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._models: list[str] = []
        self._backends = Path()
        self._name = f"ernie-triton-{uuid.uuid4().hex[:12]}"
        self._key = (KEY_HEADER, secrets.token_hex(16))
        self.view: View | None = None
        """What is loaded, where models may be replaced while the server runs."""
        if options.supervised and not self.options.is_explicit:
            self.view = View(aliases.FOLDER / f"{self._name}.view", options.repository, options.config_name)
        self._started = 0.0
        self._starts = 0
        self._was_ready = False
        self.has_lost_requests = False
        """Whether a step has died since the start: requests in it are never answered."""

    def __enter__(self) -> TritonServer:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self.close()

    def close(self) -> None:
        """End the server at once if it still runs, and remove what it was served from."""
        self.kill()
        if self.view:
            self.view.remove()

    @property
    def pid(self) -> int:
        """The process to send SIGTERM to; it outlives tritonserver by a moment, to clean up."""
        if self._process is None:
            raise ServeError("the server was not started")
        return self._process.pid

    @property
    def health(self) -> Health:
        """The server's health and repository endpoints."""
        return Health(self.options.host, self.options.http_port, key=self._key)

    @property
    def key(self) -> tuple[str, str]:
        """Header and value that open the restricted APIs (over gRPC the header has a prefix, triton-grpc-protocol-)."""
        return self._key

    @property
    def shared_memory_prefix(self) -> str:
        """What the names of its shared memory begin with."""
        return f"{self._name}-"

    @property
    def _draining(self) -> Path:
        """Exists once the server is about to end; the guard removes it with the shared memory."""
        return aliases.FOLDER / f"{self._name}-draining"

    @property
    def http_address(self) -> str:
        """``host:port`` for HTTP clients."""
        return self.health.address

    @property
    def grpc_address(self) -> str:
        """``host:port`` for gRPC clients."""
        return Health(self.options.host, self.options.grpc_port).address

    @property
    def metrics_address(self) -> str:
        """``host:port`` of the metrics, at /metrics."""
        return Health(self.options.host, self.options.metrics_port).address

    @property
    def log_file(self) -> Path:
        """Where tritonserver and its models write."""
        return self.options.log_file or backends.cache_root() / "logs" / f"serve-{self.options.http_port}.log"

    @property
    def events_file(self) -> Path:
        """Where the command in the background writes what happened to the server."""
        return self.log_file.with_suffix(".events.log")

    def start(self) -> None:
        """Check what can be checked, then start the process; returns before the server is ready.

        Errors: ServeError for whatever is wrong before the start, see `problems`.
        """
        explicit = self.options.is_explicit
        if self.view and self.view.is_kept():  # it is started again, whatever the repository has by now
            self._models = sorted(self.view.names)
        else:
            problems.check_repository(self.options.repository, may_be_empty=explicit)
            self._models = [] if explicit else loaded_models(self.options.repository, self.options.config_name)
        problems.check_config_name(self.options.repository, self.options.config_name)
        wheel.check_environment()
        server_wheel = wheel.find_wheel()
        environment = wheel.environment(server_wheel)
        environment[DRAINING] = str(self._draining)
        if not self.options.bounded:
            environment[ADMISSION] = "off"
        if self.options.cache:
            cache.check(server_wheel, self.options.repository, self.options.config_name)
        self._backends = backends.assemble(server_wheel)
        picked = ports.pick_ports(self.options.host, self.options.ports)
        self.options = replace(
            self.options, http_port=picked["http"], grpc_port=picked["grpc"], metrics_port=picked["metrics"]
        )
        ports.check_ports(self.options.host, picked)
        try:
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            keep_old(self.log_file)
            log = os.fdopen(os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        except OSError as error:
            raise ServeError(f"cannot write the log file {self.log_file}: {error.strerror}") from None
        if self.view:
            self.view.prepare()
        guard = [sys.executable, "-I", "-S", str(GUARD), str(os.getpid())]
        guard += [f"{self._name}-", str(self.options.drain_seconds + 5)]
        with log:
            self._process = subprocess.Popen(
                [*guard, str(server_wheel.server), f"--cache-directory={server_wheel.caches}", *self._arguments()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started = time.monotonic()
        self._starts += 1
        self._was_ready = self.has_lost_requests = False
        logger.info("tritonserver of pid %d writes to %s", self.pid, self.log_file)

    def wait_ready(self, progress: Callable[[int, int], None] | None = None) -> float:
        """Wait until every model is ready; returns the seconds since the last start: a race in Triton needs another.

        ``progress(ready, total)`` is called whenever one of its numbers changes. The server is killed when it fails.
        Errors: ServeError naming the models that failed to load, or why the server ended or took too long.
        """
        may_fail = any("exit-on-error=false" in part for part in self.options.extra)
        shown, failed, failed_at = (-1, -1), 0, 0.0
        while True:
            log = self._log()
            loaded = len(problems.loaded_models(log))
            total = len(self._models) or problems.loading_models(log)
            if progress and shown != (loaded, total):
                shown = (loaded, total)
                progress(loaded, total)
            code = self.poll()
            if code is not None:
                log = self._log()
                if self._starts < STARTS and problems.is_loading_race(log):
                    logger.warning("tritonserver met a race of its Python backend while it loaded: started again")
                    self.start()
                    continue
                raise ServeError(problems.explain_exit(log, code, self.log_file))
            if (self.health.live() if may_fail else self.health.ready()) and self.health.is_named(self._name):
                break
            failures = {} if may_fail else problems.load_failures(log)
            now = time.monotonic()
            if len(failures) > failed:
                failed, failed_at = len(failures), now
            if failures and now - failed_at > SETTLE_SECONDS:
                self.kill()
                raise ServeError(f"{problems.explain_failures(failures)} (log: {self.log_file})")
            if now - self._started > self.options.timeout:
                self.kill()
                raise ServeError(problems.timed_out(self.options.timeout, loaded, total, self.log_file))
            time.sleep(POLL_SECONDS)
        self._close_memory()
        self._was_ready, self._starts = True, 0
        return time.monotonic() - self._started

    def poll(self) -> int | None:
        """None while it runs, else its exit code, or 128 + the signal that ended it."""
        if self._process is None:
            return 0
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    def stop(self, drain_seconds: float | None = None) -> None:
        """Let requests in flight finish, then end the server; after ``drain_seconds`` end it anyway.

        The default is ``options.drain_seconds``, which is also the maximum: Triton is given that one at its start.
        """
        if self._process is None or self.poll() is not None:
            return
        limit = self.options.drain_seconds if drain_seconds is None else drain_seconds
        deadline = time.monotonic() + limit
        if self.options.supervised:
            self._draining.touch(0o600)
            wait_until_idle(
                self.shared_memory_prefix,
                self._draining,
                limit,
                is_over=lambda: self.has_lost_requests or self.poll() is not None,
            )
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(
                self._last_answer(max(0.0, deadline - time.monotonic()) + 3.0)
            )  # unloading takes a second or two more
        except subprocess.TimeoutExpired:
            logger.warning("tritonserver did not end within %g s and is killed", limit)
            self.kill()

    def _last_answer(self, limit: float) -> float:
        """How long to wait still: not at all where a step has died, and no process of a model does anything any more.

        Triton waits for the requests that died with a step until its time is over.
        """
        deadline = time.monotonic() + limit
        while self.has_lost_requests and self.poll() is None and (left := deadline - time.monotonic()) > 0:
            if are_still(self.shared_memory_prefix, min(STILL_SECONDS, left)):
                return 0.0
        return max(0.0, deadline - time.monotonic())

    def kill(self) -> None:
        """End the server and its stubs at once; requests in flight are lost."""
        if self._process is None or self.poll() is not None:
            return
        self._process.send_signal(signal.SIGQUIT)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def end_leftovers(self) -> None:
        """End what its guard, when killed, has left running."""
        stubs.end_leftovers(self._name, self.shared_memory_prefix)

    def reload(self, model: str, seconds: float = 60.0) -> None:
        """Unload one model and load it again, so that its processes are new. ServeError where it does not load."""
        self.unload(model, seconds)
        self.load(model, seconds)

    def load(self, model: str, seconds: float = 60.0) -> None:
        """Load one model of the view. ServeError where it does not load."""
        if reason := self.patient(seconds).load(model):
            raise ServeError(problems.one_line(reason))
        self._close_memory()

    def _close_memory(self) -> None:
        """Take the shared memory, through which texts and answers pass, from other users: Triton lets them read it."""
        for file in aliases.FOLDER.glob(f"{self.shared_memory_prefix}*"):
            with suppress(OSError):  # it has just been removed
                if file.is_file() and not file.is_symlink():
                    file.chmod(0o600)

    def unload(self, model: str, seconds: float = 60.0) -> None:
        """Unload one model. ServeError where the server does not."""
        if reason := self.patient(seconds).unload(model):
            raise ServeError(problems.one_line(reason))

    def patient(self, seconds: float) -> Health:
        """The same endpoints for what may take longer."""
        return Health(self.options.host, self.options.http_port, seconds, self._key)

    def explain_exit(self) -> str:
        """Why the server ended, in one line."""
        code = self.poll() or 0
        # Once it was ready, models that could not be loaded are no reason for a crash.
        return problems.explain_exit("" if self._was_ready and code > 128 else self._log(), code, self.log_file)

    def _log(self) -> str:
        log = self.log_file.read_bytes().decode("utf-8", "replace")
        for folder in (aliases.FOLDER / f"{self._name}-repository", aliases.FOLDER / f"{self._name}.view"):
            log = log.replace(str(folder), str(self.options.repository.resolve()))
        return log

    def _arguments(self) -> list[str]:
        # The guard removes both links, as it does all that the server leaves in /dev/shm.
        repository = aliases.reachable(self.options.repository.resolve(), f"{self._name}-repository")
        return arguments(
            self.options,
            name=self._name,
            key=self._key,
            models=self._models,
            repository=self.view.folder if self.view else repository,
            backends=aliases.reachable(self._backends, f"{self._name}-backends"),
        )
