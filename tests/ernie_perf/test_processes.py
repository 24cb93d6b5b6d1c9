"""The server's processes: their roles, CPU time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from ernie_perf import processes
from ernie_perf.processes import Usage, UsedResources


def test_roles_of_processes() -> None:
    """A stub is identified by its model; the guard and unrelated processes are left out."""
    stub = ["/b/triton_python_backend_stub", "/repo/news_encoder_w0.75-int8/3/model.onnx", "prefix"]
    assert processes.role_of(stub) == "news_encoder_w0.75-int8"
    assert processes.role_of(["/x/bin/tritonserver", "--id=a"]) == "tritonserver"
    assert processes.role_of([sys.executable, "guard.py", "/x/bin/tritonserver"]) is None
    assert processes.role_of(["/b/triton_python_backend_stub"]) is None
    assert processes.role_of([""]) is None  # a zombie has no command line


def test_cpu_time_of_a_descendant_is_counted(tmp_path: Path) -> None:
    """A busy process under this one, told by the name it runs under; servers of other tests may be there too."""
    before = processes.usage_by_role(os.getpid()).get("tritonserver", Usage())
    (tmp_path / "tritonserver").symlink_to("/bin/sh")
    busy = subprocess.Popen([str(tmp_path / "tritonserver"), "-c", "while :; do :; done"])
    try:
        end, used = time.monotonic() + 20, Usage()
        while used.cpu_s - before.cpu_s < 0.1 and time.monotonic() < end:
            time.sleep(0.02)
            used = processes.usage_by_role(os.getpid()).get("tritonserver", used)
    finally:
        busy.kill()
        busy.wait()
    assert used.count == before.count + 1
    assert 0.1 <= used.cpu_s - before.cpu_s < 5
    assert used.rss - before.rss > 100_000


def test_children_of_children_belong_to_the_server(tmp_path: Path) -> None:
    """A guard starts tritonserver, which starts the stubs; here a guard starts a stub."""
    (tmp_path / "triton_python_backend_stub").symlink_to("/bin/sh")
    stub = [str(tmp_path / "triton_python_backend_stub"), str(_model(tmp_path))]
    script = f"import subprocess; subprocess.Popen({stub!r}, stdin=subprocess.PIPE).wait()"
    guard = subprocess.Popen([sys.executable, "-c", script])
    try:
        end, usage = time.monotonic() + 20, {}
        while "news_tokenizer" not in usage and time.monotonic() < end:
            time.sleep(0.02)
            usage = processes.usage_by_role(guard.pid)
        assert set(usage) == {"news_tokenizer"} and usage["news_tokenizer"].count == 1
        assert len(processes.descendants(guard.pid)) == 2
    finally:
        for pid in reversed(processes.descendants(guard.pid)):
            os.kill(pid, 9)
        guard.wait()


def _model(folder: Path) -> Path:
    """A script that waits for its input, where a stub's model file lies."""
    path = folder / "repository" / "news_tokenizer" / "1" / "model.py"
    path.parent.mkdir(parents=True)
    path.write_text("read line\n", encoding="utf-8")
    return path


def test_a_process_that_is_gone_uses_nothing() -> None:
    """It may end between two readings."""
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    assert processes.usage_by_role(ended.pid) == {}
    assert processes.descendants(ended.pid) == [ended.pid]


def test_what_was_used_between_two_readings() -> None:
    """CPU time is a difference, memory is what is there now; a model that was loaded meanwhile starts from nothing."""
    before = {"tritonserver": Usage(cpu_s=10.0, rss=100, count=1), "gone": Usage(cpu_s=5.0, rss=7, count=1)}
    after = {"tritonserver": Usage(cpu_s=12.342, rss=90, count=1), "new": Usage(cpu_s=0.5, rss=50, count=2)}
    assert processes.used_between(before, after) == {
        "tritonserver": UsedResources(cpu_s=2.34, rss=90, processes=1),
        "new": UsedResources(cpu_s=0.5, rss=50, processes=2),
    }
