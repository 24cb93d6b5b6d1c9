"""Each extra does its work from an installed wheel: another folder, no checkout, only what it declares."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ernie_perf.peers.base import free_port
from ernie_serve.server import TritonServer

from .conftest import Installed

pytestmark = pytest.mark.e2e
Install = Callable[..., Installed]
WEIGHTS_SUFFIXES = (".safetensors", ".xz", ".npz", ".pdparams", ".onnx")


def names_in(wheel: Path) -> list[str]:
    """Files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_what_the_wheels_hold(wheels: Path) -> None:
    """The project without weights, with the backends; the weights with nothing else."""
    (project,) = wheels.glob("ernie_triton-*.whl")
    files = names_in(project)
    assert project.stat().st_size < 2 << 20
    assert not [name for name in files if name.endswith(WEIGHTS_SUFFIXES) or name.startswith("ernie_assets")]
    backends = {name.split("/")[-2] for name in files if name.startswith("ernie_serve/") and name.endswith("/model.py")}
    assert backends >= {"ernie_tokenizer", "ernie_postprocess", "ernie_pipeline", "onnxruntime", "openvino"}
    assert "ernie_triton/py.typed" in files and "ernie_builders/tasks.toml" in files
    assert any(name.endswith("licenses/LICENSE") for name in files)
    (weights,) = wheels.glob("ernie_triton_assets-*.whl")
    assert {name.split("/")[0].partition("-")[0] for name in names_in(weights)} == {
        "ernie_assets",
        "ernie_triton_assets",
    }


def test_the_client_predicts(install: Install, server: TritonServer) -> None:
    client = install("client")
    done = client.run("ernie-triton", "predict", "--url", server.grpc_address, "--json", "topic", "球队赢得比赛")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] in ("sport", "money", "food")
    version = client.run("ernie-triton", "--version")
    assert version.stdout.startswith("ernie-triton ") and "not installed" not in version.stdout
    code = "import ernie_triton; print(ernie_triton.__version__, ernie_triton.__file__)"
    imported = client.run("python", "-c", code).stdout.split()
    assert imported[0] == version.stdout.split()[1] and Path(imported[1]).is_relative_to(client.root)


def test_what_an_extra_lacks_is_said_with_the_command(install: Install, repository: Path) -> None:
    done = install("client").run("ernie-triton", "serve", str(repository))
    assert done.returncode == 1
    assert "pip install 'ernie-triton[serve]'" in done.stderr and done.stderr.count("\n") == 1
    done = install("build", weights=False).run("ernie-triton", "build", "--dry-run")
    assert done.returncode == 1
    assert "ernie_assets" in done.stderr and "pip install 'ernie-triton[build]'" in done.stderr
    assert done.stderr.count("\n") == 1


@contextmanager
def detached(installed: Installed, repository: Path) -> Iterator[str]:
    """The installed server in the background; yields its gRPC address."""
    http, grpc, metrics = (str(free_port()) for _ in range(3))
    ports = ["--http-port", http, "--grpc-port", grpc, "--metrics-port", metrics]
    done = installed.run("ernie-triton", "serve", str(repository), *ports, "--detach")
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        yield f"127.0.0.1:{grpc}"
    finally:
        done = installed.run("ernie-triton", "stop", "--http-port", http)
        assert done.returncode == 0, done.stderr


def test_the_server_serves(install: Install, repository: Path) -> None:
    """Backends come from the wheel."""
    served = install("serve")
    with detached(served, repository) as address, detached_client(install) as ask:
        answer = ask("--url", address, "--json", "topic", "球队赢得比赛")
    assert answer["label"] in ("sport", "money", "food")
    cached = list((served.home / ".cache" / "ernie-triton").glob("triton-backends-*/ernie_tokenizer"))
    assert [path.resolve().is_relative_to(served.root) for path in cached] == [True]


@contextmanager
def detached_client(install: Install) -> Iterator[Callable[..., dict]]:
    """`ernie-triton predict` of the client's environment, as a function of its arguments."""
    client = install("client")

    def ask(*arguments: str) -> dict:
        done = client.run("ernie-triton", "predict", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    yield ask


def test_builders_build(install: Install) -> None:
    """A checkpoint that ships is exported, evaluated, asked through the server, published."""
    built = install("build")
    done = built.run("ernie-triton", "build", "--tasks", "cluewsc2020", "--variants", "fp32", seconds=600)
    assert done.returncode == 0, done.stderr[-3000:]
    models = built.home / "model_repository"
    assert {path.name for path in models.iterdir()} >= {"cluewsc2020", "cluewsc2020_tokenizer"}
    assert built.run("ernie-triton", "lint", str(models)).returncode == 0


def test_perf_measures(install: Install, repository: Path, build_arguments: list[str]) -> None:
    given = dict(zip(build_arguments[::2], build_arguments[1::2], strict=False))
    measured = install("perf")
    command = ["ernie-triton", "perf", "sweep", "--repository", str(repository), "--tasks", "topic"]
    command += ["--concurrency", "1", "--rates", "", "--rounds", "1", "--seconds", "0.9", "--limit", "10"]
    command += ["--tasks-file", given["--tasks-file"], "--data-dir", given["--data-dir"], "--output", "run"]
    done = measured.run(*command, seconds=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    lines = (measured.home / "run" / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["throughput"] > 0
    assert measured.run("ernie-triton", "perf", "report", "run").returncode == 0
    assert (measured.home / "run" / "report.md").is_file()
