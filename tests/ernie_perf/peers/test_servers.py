"""The servers in processes of their own, where their packages are installed, and what the command line refuses."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from ernie_perf.errors import PeerError
from ernie_perf.peers.__main__ import main
from ernie_perf.peers.base import ServerPeer, ServerSpec, free_port, why_unfit
from ernie_perf.peers.case import read_items
from ernie_perf.peers.runner import compare, reference_answers
from ernie_perf.peers.servers import FASTAPI, LITSERVE, MOSEC
from ernie_perf.peers.standalone import Case, Item


@pytest.mark.parametrize("kind", ["case", "vectors"])
@pytest.mark.parametrize("spec", [FASTAPI, LITSERVE, MOSEC], ids=lambda spec: spec.name)
def test_a_server_answers_right(spec: ServerSpec, kind: str, items: list[Item], request: pytest.FixtureRequest) -> None:
    peer, case = ServerPeer(spec), request.getfixturevalue(kind)
    if reason := why_unfit(peer, case.kind):
        pytest.skip(reason)
    expected = reference_answers(case, items)
    (result,) = compare([peer], case, items, concurrency=8, rounds=1, expected=expected, say=lambda line: None)
    assert (result.skipped, result.refused) == ("", "")
    assert len(result.rounds) == 1


def own_module(name: str, module: str) -> ServerPeer:
    """A server that is another module."""
    return ServerPeer(ServerSpec(name=name, description="", packages=(), module=module))


def test_a_server_that_ends_says_its_last_words(case: Case, items: list[Item]) -> None:
    peer = own_module("broken", "this")
    with pytest.raises(PeerError, match="broken ended with code 0; its last words: Namespaces are one honking"):
        peer.start(case, free_port(), items[0])
    peer.stop()


def test_stop_takes_children_along(
    case: Case, items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose child ignores SIGTERM."""
    (tmp_path / "stubborn.py").write_text(
        "import subprocess, sys, time\n"
        "code = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)'\n"
        "child = subprocess.Popen([sys.executable, '-c', code])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(1)\nsys.exit('no luck')\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(PeerError, match="stubborn ended with code 1; its last words: no luck"):
        own_module("stubborn", "stubborn").start(case, free_port(), items[0])
    state = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    deadline = time.monotonic() + 10
    while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('{"sentence": "a"}\n{"text": "b"}\n', "line 2: no field 'sentence'; --field"),
        ('{"sentence": "a"\n', "line 1: not JSON"),
        ("a\tb\n", "line 1: 2 texts, the task takes 1"),
        ("\n\n", "holds no texts"),
    ],
)
def test_texts_that_cannot_be_read(tmp_path: Path, lines: str, says: str) -> None:
    path = tmp_path / "texts"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(PeerError, match=says):
        read_items(path, ("sentence",), 1, 100)


def test_texts_of_several_forms(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    path.write_text('{"a": "一", "b": "二"}\n三\t四\n\n五\t六\n', encoding="utf-8")
    assert read_items(path, ("a", "b"), 2, 2) == [("一", "二"), ("三", "四")]
    with pytest.raises(PeerError, match="line 1: 1 texts, the task takes 2: name each in --field"):
        read_items(path, ("a",), 2, 2)


def test_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    texts = ["--texts", os.devnull, "--repository", str(tmp_path)]
    for arguments, says in (
        (["--peers", "engine,nginx"], "no peer nginx; there are engine,"),
        (["--rounds", "0"], "1"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([*texts, *arguments])
        assert ended.value.code == 2 and says in capsys.readouterr().err
    assert main([*texts, "--checkpoint", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == f"ernie_perf.peers: --checkpoint {tmp_path / 'none'}: no such directory\n"
    assert main(texts) == 1
    assert capsys.readouterr().err.startswith("ernie_perf.peers: ") and sys.exc_info()[0] is None
