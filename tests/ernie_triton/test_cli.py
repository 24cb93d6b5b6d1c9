"""`ernie-triton` finds its verbs, and fails in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from ernie_runtime.install import install_hint
from ernie_triton import cli
from ernie_triton.cli import INNER, VERBS, Verb, main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[list[str]], int]], None]:
    """Make `ernie-triton fake` call a function."""

    def install(function: Callable[[list[str]], int]) -> None:
        module = types.ModuleType("fake_package")
        module.main = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "fake_package", module)
        monkeypatch.setitem(
            VERBS, "fake", Verb(target="fake_package:main", help="a test", extra="build", packages=("paddle",))
        )

    return install


def test_help_has_a_line_for_each_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(sum(line.split()[:1] == [name] for line in lines) == 1 for name in VERBS)


def test_no_verb_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: ernie-triton")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("ernie-triton ")


def test_a_typing_error_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predcit", "x"]) == 2
    assert capsys.readouterr().err == "ernie-triton: no command 'predcit'; did you mean predict?\n"
    assert main(["zzz"]) == 2
    assert "there are" in capsys.readouterr().err


def test_arguments_and_exit_code_pass_through(verb: Callable[..., None]) -> None:
    received: list[str] = []

    def command(words: list[str]) -> int:
        received.extend(words)
        return 7

    verb(command)
    assert main(["fake", "--a", "--", "b"]) == 7
    assert received == ["--a", "--", "b"]


@pytest.mark.parametrize(("code", "expected"), [(None, 0), (0, 0), (2, 2), ("paddle is missing", 1)])
def test_a_verb_that_exits_by_itself(
    verb: Callable[..., None], capsys: pytest.CaptureFixture[str], code: int | str | None, expected: int
) -> None:
    def command(words: list[str]) -> int:
        raise SystemExit(code)

    verb(command)
    assert main(["fake"]) == expected
    assert capsys.readouterr().err == (f"{code}\n" if isinstance(code, str) else "")


def test_interrupted(verb: Callable[..., None]) -> None:
    def command(words: list[str]) -> int:
        raise KeyboardInterrupt

    verb(command)
    assert main(["fake"]) == 130


def test_a_missing_package_names_its_extra(verb: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    def command(words: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'paddle.nn'", name="paddle.nn")

    verb(command)
    assert main(["fake"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "'paddle.nn'" in error
    assert error.endswith(f"; the extra 'build' brings it: {install_hint('build')}\n")


def test_a_faulty_import_is_not_taken_for_a_missing_extra(verb: Callable[..., None]) -> None:
    def command(words: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'typo'", name="typo")

    verb(command)
    with pytest.raises(ModuleNotFoundError):
        main(["fake"])


def test_predict_without_tritonclient(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for module in ("grpc_blocking", "grpc_calls"):
        monkeypatch.delitem(sys.modules, f"ernie_triton.transports.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "tritonclient", None)
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    assert main(["predict", "tnews", "a"]) == 1
    assert install_hint("client") in capsys.readouterr().err


@pytest.mark.parametrize("words", [["predict"], ["predict", "--nonsense"], ["tasks", "extra"]])
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"ernie-triton {words[0]}: ") and error.count("\n") == 1


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:8001", "http://127.0.0.1:8001/v2", "127.0.0.1", ":8001", "host:port"])
def test_an_address_that_is_none(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "--url", url]) == 1
    error = capsys.readouterr().err
    assert error.startswith(
        f"ernie-triton tasks: {url!r} is not the host:port of a gRPC server, such as 127.0.0.1:8001"
    )
    assert error.count("\n") == 1


def test_no_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "tnews", "a", "--url", "127.0.0.1:1"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ernie-triton predict: no Triton server answers at 127.0.0.1:1") and error.count("\n") == 1


def test_a_closed_pipe_and_no_heavy_import() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    heavy = "{'tritonclient', 'numpy', 'tokenizers', 'ernie_builders', 'ernie_serve', 'ernie_runtime.manifest'}"
    script = (
        "import sys; from ernie_triton.cli import main; code = main(['--help']); "
        f"sys.exit(code or bool({heavy} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "clients")}
    completed = subprocess.run(
        [sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE, env=environment, check=False
    )
    os.close(writer)
    assert (completed.returncode, completed.stderr) == (0, b"")


def test_streams_that_are_closed() -> None:
    """As a service may start it: nothing fails, and no file that is opened takes their place."""
    script = (
        "import os, sys; from ernie_triton.cli import main; code = main(['--help']); "
        "sys.exit(code or os.open(os.devnull, os.O_RDONLY) < 3)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "clients")}
    command = ["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, script]
    assert subprocess.run(command, env=environment, check=False).returncode == 0


@pytest.mark.parametrize("buffered", [True, False])
def test_a_full_disk_is_one_line(
    verb: Callable[..., None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, buffered: bool
) -> None:
    def command(words: list[str]) -> int:
        sys.stdout.write("said\n")
        return int(words[0])

    verb(command)
    for code in (0, 1):  # a verb that failed has told why
        with Path("/dev/full").open("w", buffering=-1 if buffered else 1) as stdout:
            monkeypatch.setattr("sys.stdout", stdout)
            assert main(["fake", str(code)]) == 1
        stderr = capsys.readouterr().err
        expected = "ernie-triton: cannot write the output: No space left on device\n"
        assert stderr == ("" if code and buffered else expected)


def test_every_verb_has_a_known_extra() -> None:
    assert {verb.extra for verb in cli.VERBS.values()} <= {"build", "client", "gateway", "monitor", "perf", "serve"}


def test_the_version_is_the_packages() -> None:
    import ernie_triton

    assert ernie_triton.__version__ == metadata.version("ernie-triton")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ernie_triton.nothing  # noqa: B018


@pytest.mark.timing
def test_importing_the_client_is_quick() -> None:
    """Without tritonclient, numpy and the package metadata, which take most of a second; the best of five."""
    code = """
import sys, time
began = time.perf_counter()
import ernie_triton
print(time.perf_counter() - began, *({"tritonclient", "numpy", "grpc", "importlib.metadata"} & set(sys.modules)))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "clients"), str(ROOT / "python_backends")])}
    seconds = []
    for _ in range(5):
        command = [sys.executable, "-S", "-c", code]
        completed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        elapsed, *heavy = completed.stdout.split()
        assert heavy == []
        seconds.append(float(elapsed))
    assert min(seconds) < 0.3


def test_an_interruption_inside_a_destructor_counts() -> None:
    code = """
import os, signal, sys, time
from ernie_triton import cli

class Call:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)

def wait(words):
    call = Call()
    del call
    time.sleep(30)
    return 0

cli._dispatch = wait
sys.exit(cli.main([]))
"""
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert (completed.returncode, completed.stderr) == (130, "\n")


def test_commands_of_commands_are_those_that_are_completed() -> None:
    """The names stand in the client too, which does not import the builders for a Tab key."""
    from ernie_builders.build_all import OTHERS
    from ernie_perf.cli import VERBS

    assert {name: set(words) for name, words in INNER.items()} == {"build": set(OTHERS), "perf": set(VERBS)}
