"""Where a distillation works: in OUTPUT.partial until all is done; the result then becomes OUTPUT in one step."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from ernie_runtime.json_types import Json

from ..console import say
from ..errors import ConfigError
from ..filesystem import key_of, put_in_place, write_json

CARD, SETTINGS = "card.json", "settings.json"


def fingerprint(weights: Mapping[str, np.ndarray]) -> str:
    """12 hexadecimal digits that identify weights."""
    return key_of({name: hashlib.sha256(value.tobytes()).hexdigest() for name, value in sorted(weights.items())})


def finished(output: Path, settings: Json) -> bool:
    """Whether OUTPUT already holds the result of these settings; ConfigError if it holds anything else."""
    if not output.exists():
        return False
    card, saved = output / CARD, {}
    with suppress(OSError, ValueError):
        saved = json.loads(card.read_text(encoding="utf-8"))
    if saved.get("settings") == json.loads(json.dumps(settings)):
        shutil.rmtree(partial_of(output), ignore_errors=True)
        return True
    message = "is the result of other settings" if "settings" in saved else "is there already"
    raise ConfigError(f"--output {output}: {message}; remove it, or name another place")


def partial_of(output: Path) -> Path:
    """The folder in which the work for OUTPUT is kept until it is done."""
    return output.with_name(f"{output.name}.partial")


@contextmanager
def workplace(output: Path, settings: Json) -> Iterator[Path]:
    """The folder to work in, locked, with what an interrupted run with the same settings left in it.

    ConfigError if it holds a run with other settings, or another process works in it.
    """
    folder = partial_of(output)
    exists = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"--output {output}: another process is working there") from None
        path, new_settings = folder / SETTINGS, json.loads(json.dumps(settings))
        if path.is_file():
            old_settings = json.loads(path.read_text(encoding="utf-8"))
            changed = sorted(
                name for name in {*old_settings, *new_settings} if old_settings.get(name) != new_settings.get(name)
            )
            if changed:
                raise ConfigError(
                    f"{folder}: a run with another {', '.join(changed)} was interrupted there; give the same again "
                    "to go on, remove it, or name another --output"
                )
            say(f"  going on in {folder}")
        elif exists and any(item.name != "lock" and item.suffix != ".new" for item in folder.iterdir()):
            raise ConfigError(f"{folder}: holds no run of this command; remove it, or name another --output")
        else:
            write_json(path, new_settings)
        yield folder


def leave(folder: Path, output: Path, card: Json) -> None:
    """Move a finished result to OUTPUT, with its card, in one step."""
    write_json(folder / CARD, card)
    put_in_place(folder, output)
    shutil.rmtree(partial_of(output), ignore_errors=True)
