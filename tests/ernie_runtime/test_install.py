"""Hints name a command that works where they are read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ernie_runtime import install

ROOT = Path(__file__).parents[2]


def test_in_a_checkout_make_installs_what_the_lock_file_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert install.checkout() == ROOT
    assert install.install_hint("serve") == "make setup"
    assert install.install_hint("peers") == "pip install '.[peers]'"
    monkeypatch.chdir(tmp_path)
    assert install.install_hint("serve") == f"make -C {ROOT} setup"
    assert install.install_hint("peers") == f"pip install '{ROOT}[peers]'"
    dry = subprocess.run(["make", "--dry-run", "-C", str(ROOT), "setup"], capture_output=True, text=True, check=True)
    assert "setup_env.sh" in dry.stdout


def test_an_installed_copy_asks_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "checkout", lambda: None)
    assert install.install_hint("serve") == "pip install 'ernie-triton[serve]'"
