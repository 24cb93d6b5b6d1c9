"""Where a distillation works and what it leaves: OUTPUT.partial until all is done, then OUTPUT in one step."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..console import say
from ..errors import ConfigError
from ..filesystem import key_of, put_in_place, write_json

CARD, SETTINGS = "card.json", "settings.json"


def fingerprint(weights: Mapping[str, np.ndarray]) -> str:
    """12 hex digits that stand for weights."""
    return key_of({name: hashlib.sha256(value.tobytes()).hexdigest() for name, value in sorted(weights.items())})


def finished(output: Path, settings: Mapping[str, Any]) -> bool:
    """Whether OUTPUT holds the result of these settings already; ConfigError where it holds anything else."""
    if not output.exists():
        return False
    card, told = output / CARD, {}
    with suppress(OSError, ValueError):
        told = json.loads(card.read_text(encoding="utf-8"))
    if told.get("settings") == json.loads(json.dumps(settings)):
        shutil.rmtree(partial_of(output), ignore_errors=True)
        return True
    what = "is the result of other settings" if "settings" in told else "is there already"
    raise ConfigError(f"--output {output}: {what}; remove it, or name another place")


def partial_of(output: Path) -> Path:
    """Where the work for OUTPUT is kept until it is done."""
    return output.with_name(f"{output.name}.partial")


@contextmanager
def workplace(output: Path, settings: Mapping[str, Any]) -> Iterator[Path]:
    """The folder to work in, with what an interrupted run of the same settings left there.

    ConfigError where it holds a run of other settings, or another process works there.
    """
    folder = partial_of(output)
    there = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"--output {output}: another process is working there") from None
        path, now = folder / SETTINGS, json.loads(json.dumps(settings))
        if path.is_file():
            before = json.loads(path.read_text(encoding="utf-8"))
            changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
            if changed:
                raise ConfigError(
                    f"{folder}: a run with another {', '.join(changed)} was interrupted there; give the same again "
                    "to go on, remove it, or name another --output"
                )
            say(f"  going on in {folder}")
        elif there and any(item.name != "lock" and item.suffix != ".new" for item in folder.iterdir()):
            raise ConfigError(f"{folder}: holds no run of this command; remove it, or name another --output")
        else:
            write_json(path, now)
        yield folder


def leave(folder: Path, output: Path, card: Mapping[str, Any]) -> None:
    """Put a finished result folder at OUTPUT, with its card, in one step."""
    write_json(folder / CARD, card)
    put_in_place(folder, output)
    shutil.rmtree(partial_of(output), ignore_errors=True)
