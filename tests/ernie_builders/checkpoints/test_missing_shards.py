"""Weights in several files of which one, or the index, is not there: one line, also of a dry run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ernie_builders.checkpoints import weight_formats
from ernie_builders.checkpoints.weight_formats import read_stored, stored_bytes
from ernie_builders.dry_run import lookup
from ernie_builders.errors import CheckpointError


def test_a_missing_shard_and_a_missing_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for i, name in enumerate(names):
        save_file({str(i): np.zeros(4, np.float32)}, tmp_path / name)
    index = tmp_path / weight_formats.INDEX
    index.write_text(json.dumps({"weight_map": {"0": names[0], "1": names[1]}}), encoding="utf-8")
    assert stored_bytes(tmp_path) == sum((tmp_path / name).stat().st_size for name in names)
    assert set(read_stored(tmp_path)[1]) == {"0", "1"}
    monkeypatch.setattr(lookup, "MAX_WEIGHTS", 100)
    assert "are larger than" in lookup.why_not_looked_up(str(tmp_path), ())
    (tmp_path / names[1]).unlink()
    with pytest.raises(CheckpointError, match=f"index.json: names {names[1]}, which is not there"):
        read_stored(tmp_path)
    assert lookup.why_not_looked_up(str(tmp_path), ()) == "", "the plan reads them, and meets the fault"
    index.unlink()
    with pytest.raises(CheckpointError, match=rf"{names[0]}: one of several files, whose index .* is not there"):
        read_stored(tmp_path)
