"""`tritonserver` and `perf_analyzer` as a person types them, from another folder."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from ernie_perf.peers.base import free_port
from ernie_serve import launchers

pytestmark = pytest.mark.e2e


def test_a_repository_is_served_and_measured(repository: Path, tmp_path: Path) -> None:
    tools, folder = tmp_path / "bin", tmp_path / "elsewhere"
    tools.mkdir()
    folder.mkdir()
    launchers.write(tools)
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    http, grpc, metrics = free_port(), free_port(), free_port()
    command = ["tritonserver", f"--model-repository={repository}", f"--http-port={http}"]
    command += [f"--grpc-port={grpc}", f"--metrics-port={metrics}"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log)
        try:
            _wait_ready(server, http, tmp_path / "log")
            measure = ["perf_analyzer", "-m", "topic", "-i", "grpc", "-u", f"127.0.0.1:{grpc}", "--shape", "TEXT:1"]
            measure += ["--string-data", "球队赢得比赛", "--request-count", "20"]
            completed = subprocess.run(
                measure, env=env, cwd=folder, capture_output=True, text=True, timeout=120, check=False
            )
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert "Throughput:" in completed.stdout


def _wait_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Every model is ready, within two minutes."""
    for _ in range(240):
        assert server.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=2) as reply:
                if reply.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.5)
    pytest.fail(f"not ready: {log.read_text(errors='replace')[-2000:]}")
