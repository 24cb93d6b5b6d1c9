"""`ernie-triton assets rebase`: the earlier encoder goes; the checkpoint that depended on it answers as before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from ernie_builders.checkpoints.checksums import refresh
from ernie_builders.checkpoints.delta_files import read_delta
from ernie_builders.config.tasks import ASSETS
from ernie_builders.errors import ConfigError
from ernie_builders.registry.adopt import adopt
from ernie_builders.registry.earlier import STEP
from ernie_builders.registry.rebase import rebase

ROOT = ASSETS.parent.parent
TABLE = "ernie.embeddings.word_embeddings.weight"
Assets = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A copy of the builders with one checkpoint that ships, and another encoder that is embedded now."""
    root = tmp_path / "installed"
    for package, left_out in (("ernie_builders", ()), ("ernie_assets", ("checkpoints",))):
        ignored = shutil.ignore_patterns("__pycache__", *left_out)
        shutil.copytree(ROOT / "builders" / package, root / "builders" / package, ignore=ignored)
    assets = root / "builders" / "ernie_assets"
    shutil.copytree(ASSETS / "checkpoints" / "tnews", assets / "checkpoints" / "tnews")
    old, generator = read_checkpoint(ASSETS / "encoder"), np.random.default_rng(0)
    noisy = {n: v + 0.01 * generator.standard_normal(v.shape, np.float32) for n, v in old.weights.items()}
    write_checkpoint(tmp_path / "new", old.config, noisy, old.tokenizer, bits=16)
    shutil.copy(ASSETS / "encoder" / "mlm_head.safetensors", tmp_path / "new")
    (tmp_path / "new" / "card.json").write_text('{"title": "Another encoder"}')
    refresh(assets)
    adopt(tmp_path / "new", assets)
    return root


@pytest.fixture
def assets(installed: Path) -> Assets:
    """`ernie-triton assets ...` of the copy."""

    def run(
        *arguments: str, prelude: str = "from ernie_builders.registry import cli; "
    ) -> subprocess.CompletedProcess[str]:
        folders = (installed / "builders", ROOT / "python_backends", ROOT / "clients")
        path = os.pathsep.join(str(folder) for folder in folders)
        return subprocess.run(
            [sys.executable, "-c", prelude + "raise SystemExit(cli.main())", *arguments],
            env={**os.environ, "PYTHONPATH": path},
            cwd=installed,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_rebasing_removes_the_earlier_encoder(installed: Path, assets: Assets) -> None:
    folder = installed / "builders" / "ernie_assets" / "checkpoints" / "tnews"
    samples = str(ASSETS / "samples")
    result = assets("rebase", "tnews", "--data-dir", samples)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith("measured on 5,061 dev rows, --data-dir has 12")
    assert read_delta(folder).base != read_delta(ASSETS / "checkpoints" / "tnews").base

    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["evaluations"][0]["rows"] = 12
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    coarse = "from ernie_builders.registry import cli, rebase; rebase.FINER = (0.5,); "
    result = assets("rebase", "tnews", "--data-dir", samples, prelude=coarse)
    assert result.stdout.endswith("worse, so what was there stays\n"), result.stderr
    assert read_delta(folder).base != read_delta(ASSETS / "checkpoints" / "tnews").base
    result = assets("rebase", "tnews", "--data-dir", samples)
    assert result.returncode == 0, result.stderr
    assert "no checkpoint leans on it any more" in result.stdout
    assert not (installed / "builders" / "ernie_assets" / "encoders").exists()
    base = read_delta(folder).base
    assert base is not None and base.name == "embedded"
    after = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert after["weights"]["base"]["sha256"] == base.sha256
    assert after["earlier"][0]["weights"] == card["weights"]
    assert after["train"] == card["train"]
    assert after["evaluations"][0]["rows"] == 12
    assert assets("verify").returncode == 0
    result = assets("rebase", "tnews", "--data-dir", samples)
    assert "is a difference from the embedded encoder of now already" in result.stdout

    script = "from ernie_builders.config.tasks import ASSETS; import numpy as np; "
    script += "from ernie_builders.checkpoints.checkpoint import read_checkpoint; "
    script += f"np.save('table.npy', read_checkpoint(ASSETS / 'checkpoints' / 'tnews').weights['{TABLE}'])"
    path = os.pathsep.join((str(installed / "builders"), str(ROOT / "python_backends")))
    subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path}, cwd=installed, check=True)
    before = read_checkpoint(ASSETS / "checkpoints" / "tnews").weights[TABLE]
    assert np.abs(np.load(installed / "table.npy") - before).max() <= after["weights"]["step"] / 2 + STEP


def test_a_task_without_its_own_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"drcd: no checkpoint of its own ships; there are .*tnews"):
        rebase("drcd", tmp_path, tmp_path)
