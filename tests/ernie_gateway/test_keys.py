"""API keys in a file: added, found, reloaded, refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ernie_gateway import keys
from ernie_gateway.cli import main
from ernie_gateway.keys import Keys, KeysError
from ernie_gateway.problems import Problem


def test_a_new_key_is_found_by_its_hash_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys"
    assert main(["--keys", str(path), "--new-key", "web"]) == 0
    key = capsys.readouterr().out.strip()
    assert key not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert Keys(path).of(f"Bearer {key}").name == "web"


def test_unknown_and_missing_keys_are_refused(tmp_path: Path) -> None:
    key = keys.add(tmp_path / "keys", "web")
    known = Keys(tmp_path / "keys")
    for header in (None, "", key, f"Basic {key}", "Bearer other", f"Bearer {key}x"):
        with pytest.raises(Problem) as refusal:
            known.of(header)
        assert refusal.value.status == 401
        assert key not in refusal.value.message


def test_a_changed_file_counts_and_a_broken_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keys, "CHECK_SECONDS", 0.0)
    path = tmp_path / "keys"
    first = keys.add(path, "first")
    known = Keys(path)
    second = keys.add(path, "second")
    assert known.of(f"Bearer {second}").name == "second"
    path.write_text("garbage\n")
    assert known.of(f"Bearer {first}").name == "first"
    assert "keys_unreadable" in capsys.readouterr().err
    path.write_text(f"# only this one\nsecond sha256:{keys.digest(second)}\n")
    with pytest.raises(Problem):
        known.of(f"Bearer {first}")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("web md5:00", "line 1"), ("a sha256:" + "0" * 64 + "\nb", "line 2")],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "keys").write_text(text)
    assert main(["--keys", str(tmp_path / "keys")]) == 1
    assert complaint in capsys.readouterr().err


def test_a_name_is_given_once(tmp_path: Path) -> None:
    keys.add(tmp_path / "keys", "web")
    with pytest.raises(KeysError, match="has a key 'web'"):
        keys.add(tmp_path / "keys", "web")
    with pytest.raises(KeysError, match="no name for a key"):
        keys.add(tmp_path / "keys", "two words")


def test_the_options_of_keys_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--new-key", "web"]) == 2
    assert "--keys FILE" in capsys.readouterr().err
