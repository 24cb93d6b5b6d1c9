"""`ernie-triton predict --input` on the real server and without one: the same answers, and going on after anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ernie_runtime.steps.pipeline import Pipeline
from ernie_serve.options import ServerOptions
from ernie_serve.server import TritonServer
from ernie_triton import Client, Reply

from .conftest import topic_rows
from .wire import close

pytestmark = pytest.mark.e2e

TEXTS = [row["text"] for row in topic_rows(120, seed=3)] + ["球队比赛" * 100, "😀 café ＡＢＣ", "  北京大学 "]
BAD_LINES = [("empty", b'{"id": "e", "text": ""}', "the text is empty"), ("json", b'{"text"', "not JSON"),
       ("utf8", b'"\xff\xfe"', "not UTF-8"), ("long", json.dumps("长" * 2001).encode(), "characters")]  # fmt: skip


def command(task: str, *words: object) -> list[str]:
    return [sys.executable, "-m", "ernie_triton", "predict", task, *map(str, words)]


def predict(task: str, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(task, *words), capture_output=True, text=True, timeout=120, check=False)


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A line for each text, with an id, and bad lines among them."""
    lines = [json.dumps({"id": f"t{i}", "text": text}, ensure_ascii=False).encode() for i, text in enumerate(TEXTS)]
    for place, (_, raw, _) in enumerate(BAD_LINES):
        lines.insert(20 * (place + 1), raw)
    path = tmp_path / "texts.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines) + b"\n\n")
    return path


@pytest.mark.parametrize("how", ["--local", "--engine=local"])
@pytest.mark.parametrize("task", ["topic", "ner"])
def test_without_a_server_the_answers_are_the_same(
    server: TritonServer,
    repository: Path,
    pipelines: dict[str, Pipeline],
    texts: Path,
    tmp_path: Path,
    task: str,
    how: str,
) -> None:
    served, local = tmp_path / "served.jsonl", tmp_path / "local.jsonl"
    for output, words in (
        (served, ["--url", server.grpc_address]),
        (local, [how, "--repository", repository]),
    ):
        completed = predict(task, "--input", texts, "--output", output, "--numeric", *words)
        assert completed.returncode == 0, completed.stderr
        assert f"{len(TEXTS)} answered, {len(BAD_LINES)} bad ({output}.bad), 1 empty" in completed.stderr
    served_rows, local_rows = read_rows(served), read_rows(local)
    assert [row["id"] for row in served_rows] == [f"t{i}" for i in range(len(TEXTS))]
    for left, right in zip(served_rows, local_rows, strict=True):
        assert left.keys() == right.keys() and close(left, right)
        assert ("SCORE" in left) == (task == "topic")
    direct = [answer.result for answer in pipelines[task].predict([(t,) for t in TEXTS]) if not isinstance(answer, str)]
    assert all(close(row["result"], answer) for row, answer in zip(served_rows, direct, strict=True))
    bad_rows = read_rows(Path(f"{served}.bad"))
    assert bad_rows == read_rows(Path(f"{local}.bad"))
    assert [row["line"] for row in bad_rows] == [20 * (place + 1) + 1 for place in range(len(BAD_LINES))]
    assert all(why in row["reason"] for row, (_, _, why) in zip(bad_rows, BAD_LINES, strict=True))


@pytest.mark.parametrize("task", ["topic", "ner"])
def test_a_line_out_for_a_line_in(server: TritonServer, task: str) -> None:
    """Also where a line has no answer, and for a task whose answers take a table."""
    lines = ["中共中央致中国致公党十一大的贺词", "", "长" * 2001, "球队赢得比赛"]
    completed = subprocess.run(
        command(task, "--url", server.grpc_address),
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    answers = completed.stdout.split("\n")
    assert (completed.returncode, len(answers)) == (1, 5)
    assert [bool(answer) for answer in answers] == [True, False, False, True, False]
    assert ["line 2" in completed.stderr, "line 3" in completed.stderr] == [True, True]


def test_a_task_by_its_title_with_and_without_a_server(server: TritonServer, repository: Path) -> None:
    title = "topics, MADE up for the tests"
    served = predict(title, "--url", server.grpc_address, "--json", "球队赢得比赛")
    local = predict(title, "--local", "--repository", repository, "--json", "球队赢得比赛")
    assert close(json.loads(served.stdout), json.loads(local.stdout))
    unknown = predict("没有的", "--local", "--repository", repository, "a")
    assert unknown.returncode == 1 and "has no task '没有的'; it has ner (" in unknown.stderr


def test_every_format_gives_the_same(server: TritonServer, tmp_path: Path) -> None:
    texts = TEXTS[:10]
    contents = {
        "jsonl": "".join(json.dumps(text) + "\n" for text in texts),
        "tsv": "id\ttext\n" + "".join(f"{i}\t{text}\n" for i, text in enumerate(texts)),
        "txt": "\n".join(texts),
    }
    answers = []
    for form, content in contents.items():
        (tmp_path / f"in.{form}").write_text(content, encoding="utf-8")
        completed = predict(
            "topic", "--input", tmp_path / f"in.{form}", "--url", server.grpc_address, "--batch-size", 3
        )
        assert completed.returncode == 0, completed.stderr
        answers.append([json.loads(line)["result"] for line in completed.stdout.splitlines()])
    assert len(answers[0]) == 10 and answers[0] == answers[1] == answers[2]


def test_local_needs_no_tritonclient(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("球队赢得比赛\n", encoding="utf-8")
    script = (
        "import sys; sys.modules['tritonclient'] = sys.modules['grpc'] = None; "
        "from ernie_triton.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["predict", "topic", "--local", "--repository", str(repository)]
    for arguments in (["--input", str(tmp_path / "in.txt")], ["--json", "球队赢得比赛"], ["球队赢得比赛"]):
        completed = subprocess.run(
            [sys.executable, "-c", script, *words, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert completed.returncode == 0, completed.stderr
        assert "sport" in completed.stdout


def test_numbers_of_a_text(server: TritonServer, repository: Path) -> None:
    for source in (["--url", server.grpc_address], ["--local", "--repository", repository]):
        (answer,) = map(
            json.loads, predict("topic", "球队赢得比赛", "--json", "--numeric", *source).stdout.splitlines()
        )
        assert answer["LABEL_ID"] == 0 and abs(answer["SCORE"] - answer["score"]) < 1e-5
        assert "    LABEL_ID  0\n" in predict("topic", "球队赢得比赛", "--numeric", *source).stdout


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many texts that a run can be met in the middle."""
    path = tmp_path_factory.mktemp("many") / "many.jsonl"
    rows = topic_rows(6000, seed=4)
    path.write_text("".join(json.dumps({"id": i, "text": row["text"]}) + "\n" for i, row in enumerate(rows)))
    return path


@pytest.fixture(scope="module")
def undisturbed(repository: Path, many: Path) -> list[dict[str, Any]]:
    output = many.with_name("whole.jsonl")
    completed = predict("topic", "--local", "--repository", repository, "--input", many, "--output", output)
    assert completed.returncode == 0, completed.stderr
    return read_rows(output)


@contextmanager
def running(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A command that does not outlive the test."""
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def meet(process: subprocess.Popen[str], output: Path, lines: int) -> None:
    """Wait until the output has `lines` lines."""
    deadline = time.monotonic() + 60
    while not output.exists() or output.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def same_answers(output: Path, expected: list[dict[str, Any]]) -> bool:
    return all(close(left, right) for left, right in zip(read_rows(output), expected, strict=True))


@pytest.mark.parametrize("how", ["server", "local", pytest.param("engine", marks=pytest.mark.slow)])
def test_a_kill_and_an_interruption(
    server: TritonServer, repository: Path, many: Path, undisturbed: Any, tmp_path: Path, how: str
) -> None:
    output = tmp_path / "out.jsonl"
    engine = ["--engine", "local", "--workers", 2, "--batch-size", 8]
    source = {"server": ["--url", server.grpc_address], "local": ["--local"], "engine": engine}[how]
    where = [] if how == "server" else ["--repository", repository]
    words = command("topic", "--input", many, "--output", output, *source, *where)
    for lines, number, code in ((500, signal.SIGKILL, -9), (1500, signal.SIGINT, 130), (2500, signal.SIGTERM, -15)):
        with running(words) as process:
            meet(process, output, lines)
            os.kill(process.pid, number)
            stderr = process.communicate(timeout=60)[1]  # its workers have that stream, too: no orphan is left
        assert process.returncode == code, stderr
        if number == signal.SIGINT:
            assert (
                "interrupted; " in stderr.splitlines()[-1] and "goes on from there" in stderr and "Trace" not in stderr
            )
        if code != -9:
            assert "going on behind line " in stderr
    completed = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert completed.returncode == 0, completed.stderr
    assert "6,000 answered, 0 bad" in completed.stderr and same_answers(output, undisturbed)
    completed = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert completed.returncode == 0 and "is finished already" in completed.stderr


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_folder_survives_a_kill(repository: Path, many: Path, undisturbed: Any, tmp_path: Path, engine: str) -> None:
    if engine == "ray":
        pytest.importorskip("ray", reason="--engine ray is tried where the extra bulk is installed")
    output = tmp_path / "out"
    words = command("topic", "--repository", repository, "--engine", engine, "--workers", 2, "--part-lines", 500)
    words += ["--input", str(many.with_name("many.*")), "--output", f"{output}/"]
    with running(words) as process:
        deadline = time.monotonic() + 60
        while not list(output.glob("many-*.jsonl")):
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.01)
        process.kill()
    completed = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert completed.returncode == 0 and "going on: " in completed.stderr, completed.stderr
    parts = sorted(output.glob("many-*.jsonl"))
    assert [len(read_rows(part)) for part in parts] == [500] * 12
    answered = [row for part in parts for row in read_rows(part)]
    assert all(close(left, right) for left, right in zip(answered, undisturbed, strict=True))


def test_a_server_that_goes_away(repository: Path, many: Path, undisturbed: Any, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    options = ServerOptions(repository=repository, http_port=0, grpc_port=0, metrics_port=0, log_file=tmp_path / "log")
    with TritonServer(options) as server:
        words = command("topic", "--input", many, "--output", output, "--url", server.grpc_address)
        with running(words) as process:
            meet(process, output, 500)
            server.stop()
            messages = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 1
    assert len(messages) == 1 and "so far are kept, the same command goes on from there" in messages[0], messages
    assert len(read_rows(output)) < 6000
    completed = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert completed.returncode == 1 and "no Triton server answers" in completed.stderr  # and nothing is lost by trying
    completed = predict("topic", "--local", "--repository", repository, "--input", many, "--output", output)
    assert completed.returncode == 0 and "going on behind line" in completed.stderr, completed.stderr
    assert same_answers(output, undisturbed)


def test_the_sdk_streams(server: TritonServer) -> None:
    read_ahead = 0

    def texts() -> Any:
        nonlocal read_ahead
        for text in [*TEXTS, "", *TEXTS]:
            read_ahead += 1
            yield text

    with Client(server.grpc_address) as client:
        replies = client.stream("topic", texts(), batch_size=4, numeric=True)
        first = next(replies)
        assert read_ahead < 40
        remaining = list(replies)
        assert isinstance(first, Reply) and first.numeric["SCORE"].shape == (1,)
        assert [type(reply).__name__ for reply in remaining].index("TextError") == len(TEXTS) - 1
        assert len(remaining) == 2 * len(TEXTS)
