"""--compat where a model that it did not make has one of the names: nothing at all is published."""

from __future__ import annotations

from pathlib import Path

import pytest

from ernie_builders.compat.paddlenlp import FORMS
from ernie_builders.compat.publish import publish
from ernie_builders.config.tasks import load_tasks
from ernie_builders.errors import PublishError


@pytest.mark.parametrize("existing", ["ernie_seqcls", "ernie_seqcls_postprocess"])
def test_nothing_is_written_beside_a_model_that_compat_did_not_make(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing / "1").mkdir(parents=True)
    (tmp_path / existing / "config.pbtxt").write_text("mine", encoding="utf-8")
    with pytest.raises(PublishError, match=rf"{existing}: not made by --compat, so it is not replaced"):
        publish(FORMS["ernie_seqcls"], load_tasks()["tnews"], tmp_path)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == [existing]
    assert (tmp_path / existing / "config.pbtxt").read_text(encoding="utf-8") == "mine"
