"""Plain `tritonserver` and `perf_analyzer` on the PATH."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ernie_serve import ServeError, aliases, backends, launchers, perf_analyzer, wheel


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command with the folder first on the PATH, in that folder, without any of our variables."""
    env = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_both_run_as_typed(tmp_path: Path) -> None:
    assert launchers.write(tmp_path) == [tmp_path / "tritonserver", tmp_path / "perf_analyzer"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["perf_analyzer", "tritonserver"]
    usage = run(tmp_path, "tritonserver", "--help")
    assert "--model-repository <string>" in usage.stdout + usage.stderr
    version = run(tmp_path, "perf_analyzer", "--version")
    assert version.returncode == 0, version.stderr
    assert "Perf Analyzer" in version.stdout + version.stderr


def test_a_folder_with_a_blank_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "my tools"
    folder.mkdir()
    launchers.write(folder)
    assert run(folder, "perf_analyzer", "--version").returncode == 0


def test_backends_and_caches_are_added_unless_named() -> None:
    command, env = launchers.tritonserver_command(["--model-repository=here", "--cache-directory=there"])
    parts = wheel.find_wheel()
    assert command[0] == str(parts.server)
    assert command[1:3] == ["--model-repository=here", "--cache-directory=there"]
    (added,) = command[3:]
    folder = Path(added.removeprefix("--backend-directory="))
    assert folder == backends.assemble(parts)
    assert (folder / "ernie_tokenizer" / "model.py").is_file()
    assert str(parts.libraries) in env["LD_LIBRARY_PATH"]
    assert env["PATH"].startswith(str(Path(sys.executable).parent))


@pytest.mark.parametrize("form", [["--model-repository={}"], ["--model-store", "{}"]])
def test_a_path_that_the_python_backend_cannot_use_goes_by_a_link(tmp_path: Path, form: list[str]) -> None:
    repository = tmp_path / "模型 仓库 (1)"
    repository.mkdir()
    for _ in range(2):  # the link is there the second time
        command, _ = launchers.tritonserver_command([word.format(repository) for word in form])
        link = Path(command[len(form)].removeprefix("--model-repository="))
        assert aliases.is_safe(link)
        assert link.samefile(repository)
    link.unlink()


def test_a_colon_in_the_path_of_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/a:b/bin/python")
    with pytest.raises(ServeError, match=r"^/opt/a:b/bin has a colon in its path"):
        launchers.tritonserver_command([])


def test_what_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(importlib.metadata, "distribution", _not_installed)
    assert launchers.main(["perf_analyzer", "--version"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("perf_analyzer: perf_analyzer comes with tritonclient, which is not installed: pip install")
    assert error.count("\n") == 1


def test_a_launcher_is_not_taken_for_the_binary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """tritonclient's own file list still names the file that the launcher replaced."""
    launchers.write(tmp_path)
    (tmp_path / "perf_client").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "perf_client").chmod(0o755)
    _pretend(monkeypatch, tritonclient=(tmp_path, ["perf_analyzer", "perf_client"]))
    assert perf_analyzer.locate()[0] == tmp_path / "perf_client"


@pytest.mark.parametrize(("code", "chosen"), [(0, "perf_analyzer/bin/perf_analyzer"), (1, "perf_client")])
def test_the_wheel_of_its_own_is_preferred_where_it_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, chosen: str
) -> None:
    """It needs a newer glibc than tritonclient's binary."""
    for name, result in (("perf_analyzer/bin/perf_analyzer", code), ("perf_client", 0)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {result}\n")
        (tmp_path / name).chmod(0o755)
    distribution = (tmp_path, ["perf_analyzer/cli.py", "perf_analyzer/bin/perf_analyzer"])
    _pretend(monkeypatch, **{"perf-analyzer": distribution, "tritonclient": (tmp_path, ["perf_client"])})
    assert perf_analyzer.locate()[0] == tmp_path / chosen


def _not_installed(name: str) -> None:
    raise importlib.metadata.PackageNotFoundError(name)


def _pretend(monkeypatch: pytest.MonkeyPatch, **packages: tuple[Path, list[str]]) -> None:
    """Of the two that have a perf_analyzer only these are installed, with these files."""
    real = importlib.metadata.distribution

    def distribution(name: str) -> SimpleNamespace | importlib.metadata.Distribution:
        if name not in ("perf-analyzer", "tritonclient"):
            return real(name)
        if name not in packages:
            raise importlib.metadata.PackageNotFoundError(name)
        folder, files = packages[name]
        return SimpleNamespace(version="2.60.0", files=files, locate_file=lambda file: folder / file)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
