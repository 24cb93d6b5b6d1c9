"""`ernie-triton assets rebase`: the encoder before goes, the checkpoint that leant on it answers as it did."""

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
    other = {n: v + 0.01 * generator.standard_normal(v.shape, np.float32) for n, v in old.weights.items()}
    write_checkpoint(tmp_path / "new", old.config, other, old.vocabulary, bits=16)
    shutil.copy(ASSETS / "encoder" / "mlm_head.safetensors", tmp_path / "new")
    (tmp_path / "new" / "card.json").write_text('{"title": "Another encoder"}')
    refresh(assets)
    adopt(tmp_path / "new", assets)
    return root


@pytest.fixture
def assets(installed: Path) -> Assets:
    """`ernie-triton assets ...` of the copy."""

    def run(
        *arguments: str, first: str = "from ernie_builders.registry import cli; "
    ) -> subprocess.CompletedProcess[str]:
        folders = (installed / "builders", ROOT / "python_backends", ROOT / "clients")
        path = os.pathsep.join(str(folder) for folder in folders)
        return subprocess.run(
            [sys.executable, "-c", first + "raise SystemExit(cli.main())", *arguments],
            env={**os.environ, "PYTHONPATH": path},
            cwd=installed,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_encoder_before_goes(installed: Path, assets: Assets) -> None:
    folder = installed / "builders" / "ernie_assets" / "checkpoints" / "tnews"
    samples = str(ASSETS / "samples")
    ended = assets("rebase", "tnews", "--data-dir", samples)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("measured on 5,061 dev rows, --data-dir has 12")
    assert read_delta(folder).base != read_delta(ASSETS / "checkpoints" / "tnews").base

    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["evaluations"][0]["rows"] = 12
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    coarse = "from ernie_builders.registry import cli, rebase; rebase.FINER = (0.5,); "
    ended = assets("rebase", "tnews", "--data-dir", samples, first=coarse)
    assert ended.stdout.endswith("worse, so what was there stays\n"), ended.stderr
    assert read_delta(folder).base != read_delta(ASSETS / "checkpoints" / "tnews").base
    ended = assets("rebase", "tnews", "--data-dir", samples)
    assert ended.returncode == 0, ended.stderr
    assert "no checkpoint leans on it any more" in ended.stdout
    assert not (installed / "builders" / "ernie_assets" / "encoders").exists()
    base = read_delta(folder).base
    assert base is not None and base.name == "embedded"
    after = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert after["weights"]["base"]["sha256"] == base.sha256
    assert after["earlier"][0]["weights"] == card["weights"]
    assert after["train"] == card["train"]
    assert after["evaluations"][0]["rows"] == 12
    assert assets("verify").returncode == 0
    ended = assets("rebase", "tnews", "--data-dir", samples)
    assert "is a difference from the embedded encoder of now already" in ended.stdout

    found = "from ernie_builders.config.tasks import ASSETS; import numpy as np; "
    found += "from ernie_builders.checkpoints.checkpoint import read_checkpoint; "
    found += f"np.save('table.npy', read_checkpoint(ASSETS / 'checkpoints' / 'tnews').weights['{TABLE}'])"
    path = os.pathsep.join((str(installed / "builders"), str(ROOT / "python_backends")))
    subprocess.run([sys.executable, "-c", found], env={**os.environ, "PYTHONPATH": path}, cwd=installed, check=True)
    before = read_checkpoint(ASSETS / "checkpoints" / "tnews").weights[TABLE]
    assert np.abs(np.load(installed / "table.npy") - before).max() <= after["weights"]["step"] / 2 + STEP


def test_what_has_no_checkpoint_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"drcd: no checkpoint of its own ships; there are .*tnews"):
        rebase("drcd", tmp_path, tmp_path)
