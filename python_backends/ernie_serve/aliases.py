"""Names that Triton's Python backend can use for folders that it could not start from.

It starts its stubs through a shell, without quotes, and the interpreter in a stub has an ASCII locale whatever the
environment says: a folder with a blank, a bracket or a Chinese character in its path fails.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from ernie_serve.problems import PLAIN_NAME, ServeError

FOLDER = Path("/dev/shm")
"""Triton keeps its shared memory there, so it exists and can be written wherever a server runs."""


def is_safe(path: Path) -> bool:
    """Whether a stub can be started with this path."""
    return all(re.fullmatch(PLAIN_NAME, part) for part in path.absolute().parts[1:])


def lasting_name(path: Path) -> str:
    """The name of a link that stays, the same at every start: for a server that nobody cleans up after."""
    return f"ernie-triton-{os.getuid()}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"


def reachable(path: Path, name: str) -> Path:
    """The absolute path where it is safe, else a link to it of this name in /dev/shm.

    Nobody else can replace the link, as /dev/shm is sticky. Errors: ServeError where it cannot be made.
    """
    if is_safe(path):
        return path
    link = FOLDER / name
    try:
        try:
            link.symlink_to(path)
        except FileExistsError:
            if link.lstat().st_uid != os.getuid() or os.readlink(link) != str(path):
                raise
        if not os.path.samefile(link, path):
            raise OSError(0, "links are not followed there")
    except OSError as error:
        raise ServeError(
            f"{path}: Triton's Python backend cannot use a path with blanks, brackets or letters that are not ASCII, "
            f"and {link}, a link to it, cannot be made ({error.strerror}): move it to a folder with a plain name"
        ) from None
    return link
