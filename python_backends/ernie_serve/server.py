"""Starts, watches and stops one tritonserver from the pip wheel."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from ernie_serve import aliases, backends, cache, ports, problems, tracing, wheel
from ernie_serve.health import Health
from ernie_serve.problems import ServeError

logger = logging.getLogger(__name__)

GUARD = Path(__file__).with_name("guard.py")
POLL_SECONDS = 0.05
STARTS = 3  # at most, where tritonserver meets a race of its own (problems.is_loading_race)
STUB_TIMEOUT_SECONDS = 120
"""Triton's own 30 s is short for a dozen models that import their libraries at once on two cores."""
SETTLE_SECONDS = 3.0
"""The wait after a model failed. Triton ends by itself once the others are loaded, unless a stub never began."""


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """What to serve and where."""

    repository: Path
    host: str = "127.0.0.1"
    http_port: int = 8000
    """0 picks a free port, here and for the other ports."""
    grpc_port: int = 8001
    metrics_port: int = 8002
    config_name: str | None = problems.STAND_INS
    """Models use ``configs/<name>.pbtxt`` where they have one; None: the plain config.pbtxt."""
    log_file: Path | None = None
    """For the log of tritonserver and its models; None: a file in the cache folder, named by the HTTP port."""
    extra: tuple[str, ...] = ()
    """More arguments of tritonserver, such as ``--model-control-mode=explicit``."""
    timeout: float = 180.0
    """Seconds until every model must be ready."""
    drain_seconds: int = 30
    """Seconds that requests in flight may take once the server is told to stop."""
    auto_complete: bool = False
    """Let Triton complete configurations: it starts one more interpreter per model, which takes some 2 s."""
    detached: bool = False
    """Whether the server outlives this process."""
    cache: int = 0
    """Size of the response cache in bytes; 0 for none."""
    trace: str = ""
    """Where spans are posted (`tracing.collector`); empty: nowhere."""
    trace_every: int = 1
    """One request of so many is traced."""


class TritonServer:
    """One tritonserver; a context manager that starts it, waits until it is ready, and stops it.

    It ends with this process (unless detached), together with its stubs, and leaves no shared memory.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._models: list[str] = []
        self._name = f"ernie-triton-{uuid.uuid4().hex[:12]}"
        self._started = 0.0
        self._starts = 0

    def __enter__(self) -> TritonServer:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process to send SIGTERM to; it outlives tritonserver by a moment, to clean up."""
        if self._process is None:
            raise ServeError("the server was not started")
        return self._process.pid

    @property
    def health(self) -> Health:
        """The server's health and repository endpoints."""
        return Health(self.options.host, self.options.http_port)

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

    def start(self) -> None:
        """Check what can be checked, then start the process; returns before the server is ready.

        Errors: ServeError for whatever is wrong before the start, see `problems`.
        """
        explicit = any("explicit" in part or "poll" in part for part in self.options.extra)
        self._models = problems.check_repository(self.options.repository, may_be_empty=explicit)
        if explicit:
            self._models = []
        problems.check_config_name(self.options.repository, self.options.config_name)
        wheel.check_environment()
        server_wheel = wheel.find_wheel()
        environment = wheel.environment(server_wheel)
        if self.options.cache:
            cache.check(server_wheel, self.options.repository, self.options.config_name)
        directory = backends.assemble(server_wheel)
        picked = ports.pick_ports(self.options.host, self._ports())
        self.options = replace(
            self.options, http_port=picked["http"], grpc_port=picked["grpc"], metrics_port=picked["metrics"]
        )
        ports.check_ports(self.options.host, picked)
        try:
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            log = self.log_file.open("wb")
        except OSError as error:
            raise ServeError(f"cannot write the log file {self.log_file}: {error.strerror}") from None
        guard = [sys.executable, "-I", "-S", str(GUARD), str(0 if self.options.detached else os.getpid())]
        guard += [f"{self._name}-", str(self.options.drain_seconds + 5)]
        with log:
            self._process = subprocess.Popen(
                [*guard, *self._command(server_wheel, directory)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started = time.monotonic()
        self._starts += 1
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
        self._process.send_signal(signal.SIGTERM)
        limit = self.options.drain_seconds if drain_seconds is None else drain_seconds
        try:
            self._process.wait(limit + 3.0)  # unloading takes a second or two more
        except subprocess.TimeoutExpired:
            logger.warning("tritonserver did not end within %g s and is killed", limit)
            self.kill()

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

    def explain_exit(self) -> str:
        """Why the server ended, in one line."""
        return problems.explain_exit(self._log(), self.poll() or 0, self.log_file)

    def _ports(self) -> dict[str, int]:
        options = self.options
        return {"http": options.http_port, "grpc": options.grpc_port, "metrics": options.metrics_port}

    def _log(self) -> str:
        log = self.log_file.read_bytes().decode("utf-8", "replace")
        return log.replace(str(aliases.FOLDER / f"{self._name}-repository"), str(self.options.repository.resolve()))

    def _command(self, server_wheel: wheel.Wheel, directory: Path) -> list[str]:
        options = self.options
        # The guard removes both links, as it does all that the server leaves in /dev/shm.
        repository = aliases.reachable(options.repository.resolve(), f"{self._name}-repository")
        directory = aliases.reachable(directory, f"{self._name}-backends")
        command = [str(server_wheel.server), f"--id={self._name}", f"--model-repository={repository}"]
        command += [f"--backend-directory={directory}", f"--cache-directory={server_wheel.caches}"]
        for use, port in self._ports().items():
            command += [f"--{use}-address={options.host}", f"--{use}-port={port}"]
        command += [f"--backend-config=python,shm-region-prefix-name={self._name}-"]
        command += [f"--backend-config=python,stub-timeout-seconds={STUB_TIMEOUT_SECONDS}"]
        command += [f"--exit-timeout-secs={options.drain_seconds}"]
        if options.cache:
            command.append(cache.argument(options.cache))
        if options.trace:
            command += tracing.arguments(options.trace, options.trace_every)
        if options.config_name:
            command.append(f"--model-config-name={options.config_name}")
        if not options.auto_complete:
            command.append("--disable-auto-complete-config")
        return [*command, *options.extra]
