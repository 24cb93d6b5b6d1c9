"""The response cache option: sizes, and the messages where no cache is possible."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from ernie_serve import ServeError, cache, cli
from ernie_serve.wheel import Wheel


@pytest.mark.parametrize(("text", "size"), [("1048576", 2**20), ("64M", 2**26), ("2g", 2**31), ("4096K", 2**22)])
def test_sizes(text: str, size: int) -> None:
    assert cache.size(text) == size


@pytest.mark.parametrize("text", ["", "64MB", "-5", "1.5G", "1000", "many"])
def test_invalid_sizes_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ArgumentTypeError):
        cache.size(text)
    assert cli.main([f"--cache={text}"]) == 2
    assert "is no cache size (bytes, or such as 64M; at least 1M)" in capsys.readouterr().err


def wheel_in(folder: Path) -> Wheel:
    return Wheel("0.7.0", folder, folder)


def test_a_server_without_the_library(tmp_path: Path) -> None:
    with pytest.raises(ServeError) as caught:
        cache.check(wheel_in(tmp_path), tmp_path, "ragged")
    message = str(caught.value)
    assert message.startswith("nvidia-pytriton 0.7.0 has no response cache (libtritoncache_local.so is missing in ")
    assert message.endswith(": start without --cache") and "\n" not in message


def test_a_repository_that_uses_no_cache(tmp_path: Path) -> None:
    library = tmp_path / "caches" / cache.LIBRARY
    library.parent.mkdir(parents=True)
    library.touch()
    config = tmp_path / "repository" / "task" / "config.pbtxt"
    config.parent.mkdir(parents=True)
    config.write_text('platform: "ensemble"')
    with pytest.raises(ServeError, match=r"no model of .* uses the response cache; publish its tasks again"):
        cache.check(wheel_in(tmp_path), tmp_path / "repository", None)
    config.write_text("response_cache {\n  enable: true\n}\n")
    cache.check(wheel_in(tmp_path), tmp_path / "repository", None)
