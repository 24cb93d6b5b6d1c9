"""What can go wrong when a server starts, each in one line: what happened and what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ernie_runtime.names import encoder_prefix, postprocess_model, tokenizer_model, tokenizer_task

MIN_GLIBC = (2, 35)
"""The pip server was built on Ubuntu 22.04."""
PLAIN_NAME = r"[A-Za-z0-9_.+,:@%=-]+"
"""What a shell takes as it is and an ASCII locale can say."""
STAND_INS = "ragged"
"""Name of the configurations for the Python backends that stand in for the C++ ones."""


class ServeError(Exception):
    """The server cannot start or serve; the message is one line for a person to act on."""


def one_line(text: str) -> str:
    """Text from a server log on one line: newlines become spaces, the Python stack is removed."""
    text = text.replace("\\n", "\n").replace('\\"', '"')
    return " ".join(text.split("\n\nAt:")[0].split()).strip('" ')


def check_platform(glibc: tuple[int, int] | None, numpy_version: str | None) -> None:
    """Refuse a machine or environment on which the pip server is known to break.

    Errors: ServeError for a C library older than 2.35 (or not glibc), and for numpy 2.
    """
    if glibc is None:
        raise ServeError("this system has no glibc (musl?): use NVIDIA's tritonserver image, see docker/")
    if glibc < MIN_GLIBC:
        version = ".".join(map(str, glibc))
        raise ServeError(
            f"glibc {version} is too old, the pip server needs 2.35 (Ubuntu 22.04, Debian 12): use a newer "
            "system or NVIDIA's tritonserver image, see docker/"
        )
    if numpy_version is None:
        raise ServeError('numpy is not installed: pip install "numpy<2"')
    if int(numpy_version.split(".")[0]) >= 2:
        raise ServeError(
            f'numpy {numpy_version} breaks strings in Triton 2.51\'s Python backend: pip install "numpy<2"'
        )


def model_folders(repository: Path) -> list[str]:
    """Names of the models of a repository: its folders with a config.pbtxt or a version folder."""
    return sorted(
        folder.name
        for folder in repository.iterdir()
        if folder.is_dir()
        and ((folder / "config.pbtxt").exists() or any(part.name.isdigit() for part in folder.iterdir()))
    )


def is_ensemble(model: Path) -> bool:
    """Whether no process is started for the model."""
    config = (model / "config.pbtxt").read_text(encoding="utf-8", errors="replace")
    return re.search(r"\bplatform\s*:\s*[\"']ensemble", config) is not None


def check_repository(repository: Path, *, may_be_empty: bool = False) -> list[str]:
    """The names of the models in a repository.

    Errors: ServeError when it is absent, not a folder, not readable, holds no model, or one that cannot be started.
    """
    if not repository.exists():
        raise ServeError(f"no model repository at {repository}: name an existing folder, or build one first")
    if not repository.is_dir():
        raise ServeError(f"{repository} is a file, not a model repository: name the folder that holds the models")
    try:
        names = model_folders(repository)
        for name in names:
            with os.scandir(repository / name), open(repository / name / "config.pbtxt", "rb"):
                pass
    except PermissionError as error:
        raise ServeError(
            f"no permission to read {error.filename}: chmod -R a+rX {repository}, or serve as its owner"
        ) from None
    except FileNotFoundError as error:
        raise ServeError(f"{error.filename} is missing: every model needs its config.pbtxt") from None
    for name in names:
        if not re.fullmatch(PLAIN_NAME, name) and not is_ensemble(repository / name):
            raise ServeError(
                f"model {name} of {repository}: Triton's Python backend cannot use a name with blanks, brackets or "
                "letters that are not ASCII: rename its folder"
            )
        if task := tokenizer_task(name):
            _check_versions(repository, task, names)
    if not names and not may_be_empty:
        raise ServeError(f"model repository {repository} holds no model: build or publish a task into it first")
    return names


def check_config_name(repository: Path, name: str | None) -> None:
    """ServeError for a configuration that no model has: Triton would silently take each model's plain one.

    That of the stand-ins may be missing: repositories made by other tools have none.
    """
    if not name or name == STAND_INS or next(repository.glob(f"*/configs/{name}.pbtxt"), None) is not None:
        return
    names = sorted({path.stem for path in repository.glob("*/configs/*.pbtxt")})
    raise ServeError(
        f"--config-name {name}: no model of {repository} has configs/{name}.pbtxt; "
        f"there are {', '.join(names) or 'none'}, and '' for the plain config.pbtxt"
    )


def _check_versions(repository: Path, task: str, names: list[str]) -> None:
    parts = (tokenizer_model(task), postprocess_model(task), task)
    newest = {
        name: max(
            (int(p.name) for p in (repository / name).iterdir() if re.fullmatch("[1-9][0-9]*", p.name)), default=0
        )
        for name in names
        if name in parts or name.startswith(encoder_prefix(task))
    }
    check_same_version(task, newest)


def check_same_version(task: str, newest: Mapping[str, int]) -> None:
    """ServeError where a task's models, by name, have different newest versions: its publishing was cut short."""
    if len(set(newest.values())) > 1:
        versions = ", ".join(f"{name} {number}" for name, number in newest.items())
        raise ServeError(f"task {task} is half published (newest versions: {versions}): run its build again")


def port_taken(use: str, port: int) -> str:
    """The message for a taken port; ``use`` is http, grpc or metrics."""
    return f"{use} port {port} is taken by another process: stop that one, or choose another with --{use}-port"


_LOAD = re.compile(r"failed to load '([^']+)' version \d+: (.*)")
_BACKEND = re.compile(r"unable to find backend library for backend '([^']+)'")
_POLL = re.compile(r"Poll failed for model directory '([^']+)': (.*)")
_ENSEMBLE = re.compile(r"(?:Invalid argument|Internal): (ensemble '?([^' ]+)'? .*)")
_PROTOBUF = re.compile(r"Error parsing text-format inference\.ModelConfig: (.*)")
_STUB = re.compile(r"Failed to preinitialize Python stub: (.*)")
_PORT = re.compile(r"failed to start (HTTP|GRPC|Metrics) service: .*?Socket '[^']*?:(\d+)' already in use")
_FATAL = re.compile(r"^(?:E\d{4} .*?\] |error: )(.*)", re.MULTILINE)
_USAGE = re.compile(r"^(?:\S*tritonserver: )?(.*(?:unrecognized option|requires an argument).*)$", re.MULTILINE)
_NOISE = ("CudaDriverHelper", "pinned_memory", "NVML", "DCGM")


def loaded_models(log: str) -> set[str]:
    """Names of the models that the server's log says are loaded."""
    return set(re.findall(r"successfully loaded '([^']+)'", log))


def loading_models(log: str) -> int:
    """The number of models that the server has begun to load."""
    return len(set(re.findall(r'"loading: ([^":]+):', log)))


def timed_out(seconds: float, ready: int, total: int, log_file: Path) -> str:
    """The message for a server that did not become ready in time."""
    return (
        f"the server was not ready after {seconds:g} s, with {ready} of {total} models loaded: "
        f"give it longer with --timeout, or see {log_file}"
    )


def load_failures(log: str) -> dict[str, str]:
    """Models that failed to load so far and why, from the server's log; one line each."""
    failures: dict[str, str] = {}
    syntax_errors = [one_line(message) for message in _PROTOBUF.findall(log)]
    for name, reason in _POLL.findall(log):
        failures[name] = "config.pbtxt, line " + syntax_errors.pop(0) if syntax_errors else one_line(reason)
    for name, reason in _LOAD.findall(log):
        missing_backend = _BACKEND.search(reason)
        failures[name] = (
            f"no backend '{missing_backend[1]}' in the pip server or in python_backends/"
            if missing_backend
            else re.sub(r"^(Internal|Invalid argument|Unavailable): ", "", one_line(reason))
        )
    for reason in _STUB.findall(log):
        path = re.search(r"'([^']+)'", reason)
        # <repository>/<model>/<version>/model.py, or <backend directory>/<backend>/model.py
        parts = Path(path[1]).parts[-3:] if path else ()
        failures.setdefault(parts[0] if len(parts) == 3 else "a Python model", one_line(reason))
    if not failures:
        for reason, name in _ENSEMBLE.findall(log):
            failures[name] = one_line(reason)
    return failures


def explain_failures(failures: Mapping[str, str]) -> str:
    """One line for one or more models that failed to load."""
    parts = [f"model {name} failed to load: {reason}" for name, reason in failures.items()]
    return "; ".join(parts)


def is_loading_race(log: str) -> bool:
    """Whether tritonserver ended by a fault of its Python backend that another start does not meet again.

    When several models load at once on a busy machine, it sometimes ends with boost's lock_exception (seen in one to
    four of about a hundred starts of tritonserver 2.51).
    """
    return "boost::interprocess::lock_exception" in log


def explain_exit(log: str, returncode: int, log_file: Path) -> str:
    """Why tritonserver ended by itself, in one line; ``returncode`` above 128 is 128 + the signal."""
    port_in_use = _PORT.search(log)
    if port_in_use:
        return port_taken(port_in_use[1].lower(), int(port_in_use[2]))
    failures = load_failures(log)
    if failures:
        return f"{explain_failures(failures)} (log: {log_file})"
    if returncode == 128 + 9:
        return (
            "tritonserver was killed, most likely because memory ran out: serve fewer models or instances, "
            f"or give it more memory (log: {log_file})"
        )
    if returncode > 128:
        return f"tritonserver crashed with signal {returncode - 128}: see {log_file}"
    reasons = [one_line(text) for text in _FATAL.findall(log) if not any(word in text for word in _NOISE)]
    last: Sequence[str] = (
        _USAGE.findall(log)[:1] or reasons[-1:] or [one_line(line) for line in log.splitlines() if line.strip()][-1:]
    )
    return f"tritonserver ended with code {returncode}: {''.join(last) or 'no message'} (log: {log_file})"
