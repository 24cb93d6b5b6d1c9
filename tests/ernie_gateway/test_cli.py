"""What the command line refuses before it listens."""

from __future__ import annotations

import pytest

from ernie_gateway.cli import main


@pytest.mark.parametrize("url", ["nonsense", "127.0.0.1", "ftp://127.0.0.1:8001", "127.0.0.1:8001/v2"])
def test_an_address_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert main(["--url", url, "--port", "0"]) == 1
    output, errors = capsys.readouterr()
    assert (output, errors.count("\n")) == ("", 1)
    assert errors.startswith(f"ernie-triton gateway: {url!r} is not the host:port of a gRPC server")
