"""Each way a start can fail is one line that names the thing and what to do."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from ernie_serve import ServeError, cli, problems
from ernie_serve.ports import check_ports, pick_ports

from .conftest import write_ensemble, write_model

LOG = Path("server.log")


@pytest.mark.parametrize(
    ("glibc", "numpy", "says"),
    [
        ((2, 31), "1.26.4", "glibc 2.31 is too old"),
        (None, "1.26.4", "no glibc"),
        ((2, 36), "2.1.0", 'numpy 2.1.0 breaks .* pip install "numpy<2"'),
        ((2, 36), None, "numpy is not installed"),
    ],
)
def test_platform(glibc: tuple[int, int] | None, numpy: str | None, says: str) -> None:
    problems.check_platform((2, 35), "1.26.4")
    with pytest.raises(ServeError, match=says):
        problems.check_platform(glibc, numpy)


def test_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty, file = tmp_path / "empty", tmp_path / "file"
    empty.mkdir()
    file.write_text("")
    cases = {tmp_path / "none": "no model repository at", file: "is a file", empty: "holds no model"}
    for path, says in cases.items():
        # Any free ports: a server may be running on Triton's own, such as the one that `make demo` leaves.
        assert cli.main([str(path), "--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]) == 1
        errors = capsys.readouterr().err
        assert says in errors
        assert str(path) in errors
        assert errors.count("\n") == 1
    assert problems.check_repository(empty, may_be_empty=True) == []
    write_model(empty, "echo")
    (empty / "notes").mkdir()
    assert problems.check_repository(empty) == ["echo"]
    (empty / "echo" / "configs").mkdir()
    (empty / "echo" / "configs" / "tensorrt.pbtxt").touch()
    for name in ("tensorrt", "", None, problems.STAND_INS):
        problems.check_config_name(empty, name)
    with pytest.raises(ServeError, match=r"no model of .* has configs/tensort\.pbtxt; there are tensorrt, and '' for"):
        problems.check_config_name(empty, "tensort")
    (empty / "echo" / "config.pbtxt").unlink()
    with pytest.raises(ServeError, match=r"echo/config\.pbtxt is missing"):
        problems.check_repository(empty)


@pytest.mark.parametrize("name", ["意图", "two words", "a(1)"])
def test_a_model_that_no_stub_can_be_started_for(tmp_path: Path, name: str) -> None:
    write_model(tmp_path, "echo")
    write_ensemble(tmp_path, "任务", "echo")  # has no stub
    assert problems.check_repository(tmp_path) == ["echo", "任务"]
    write_model(tmp_path, name)
    with pytest.raises(ServeError, match=re.escape(f"model {name} of ") + ".*rename its folder$"):
        problems.check_repository(tmp_path)


def test_unreadable_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> list[str]:
        raise PermissionError(13, "Permission denied", str(path / "echo"))

    monkeypatch.setattr(problems, "model_folders", refuse)
    with pytest.raises(ServeError, match=rf"no permission to read {tmp_path}/echo: chmod"):
        problems.check_repository(tmp_path)


def test_taken_port_is_named_with_its_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ServeError, match=rf"^metrics port {port} is taken .* --metrics-port$"):
            check_ports("127.0.0.1", {"metrics": port})
    check_ports("127.0.0.1", {"metrics": port})
    with pytest.raises(ServeError, match=f"port {port} is asked for twice, for http and grpc"):
        check_ports("127.0.0.1", {"http": port, "grpc": port})
    with pytest.raises(ServeError, match=r"cannot listen on 192\.0\.2\.1"):
        check_ports("192.0.2.1", {"http": port})


def test_free_ports_differ_and_given_ones_stay() -> None:
    ports = pick_ports("127.0.0.1", {"http": 0, "grpc": 8001, "metrics": 0})
    assert ports["grpc"] == 8001
    assert len(set(ports.values())) == 3
    check_ports("127.0.0.1", {"http": ports["http"]})


PORT = "failed to start HTTP service: Unavailable - Socket '127.0.0.1:8000' already in use"
RAISED = r"failed to load 'a' version 1: Internal: ValueError: two\nlines\n\nAt:\n  model.py(3)\n"
ABSENT = "Invalid argument: ensemble e contains models that are not available or ambiguous: x"
BACKEND = "failed to load 'a' version 1: Invalid argument: unable to find backend library for backend 'b', try"
SYNTAX = """[libprotobuf ERROR a.cc:3] Error parsing text-format inference.ModelConfig: 5:4: no "foo".
E1 m.cc:1] "Poll failed for model directory 'b': failed to read text proto"
"""


@pytest.mark.parametrize(
    ("log", "code", "says"),
    [
        (f'E1 main.cc:257] "{PORT} "', 1, "http port 8000 is taken by another process: stop that one, or"),
        (f'E1 x.cc:1] "{RAISED}"', 1, "model a failed to load: ValueError: two lines (log: server.log)"),
        (f'E1 x.cc:1] "{BACKEND}"', 1, "model a failed to load: no backend 'b' in the pip server or in"),
        (SYNTAX, 1, 'model b failed to load: config.pbtxt, line 5:4: no "foo". (log: server.log)'),
        (f'E1 m.cc:7] "{ABSENT}"', 1, "model e failed to load: ensemble e contains models that are not"),
        ("", 137, "tritonserver was killed, most likely because memory ran out"),
        ("", 139, "tritonserver crashed with signal 11: see server.log"),
        (
            "error: creating server: Internal - none\n",
            1,
            "ended with code 1: creating server: Internal - none",
        ),
        ("/x/tritonserver: unrecognized option '--foo'\nUsage:\n", 1, "unrecognized option '--foo'"),
        ("", 1, "ended with code 1: no message"),
    ],
)
def test_exit_is_explained_from_the_log(log: str, code: int, says: str) -> None:
    message = problems.explain_exit(log, code, LOG)
    assert says in message
    assert "\n" not in message


def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--http-port", "high"]) == 2
    assert "high is not a port" in capsys.readouterr().err
    for options, says in (
        (["--timeout", "nan"], "nan is not a number of seconds above 0"),
        (["--timeout", "soon"], "soon is not a number of seconds above 0"),
        (["--drain", "-1"], "-1 is not a whole number of seconds, 0 or above"),
    ):
        assert cli.main(options) == 2
        assert says in capsys.readouterr().err
    assert cli.main(["--help"]) == 0
    assert "model_repository" not in capsys.readouterr().err


def test_a_half_published_task(tmp_path: Path) -> None:
    """A publish that was cut short leaves some models a version ahead; served, they would not fit each other."""
    for name in ("news_tokenizer", "news_encoder_fp32", "news_postprocess", "news", "newsroom"):
        write_model(tmp_path, name)
    assert len(problems.check_repository(tmp_path)) == 5
    (tmp_path / "news_tokenizer" / "2").mkdir()
    with pytest.raises(ServeError, match=r"task news is half published .*news_tokenizer 2.* run its build again"):
        problems.check_repository(tmp_path)
    for name in ("news_encoder_fp32", "news_postprocess", "news"):
        (tmp_path / name / "2").mkdir()
    problems.check_repository(tmp_path)
