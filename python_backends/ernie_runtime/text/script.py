"""Traditional Chinese read as simplified, a character for a character, so that offsets stay those of the text sent."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from ..errors import InvalidItem, ManifestError
from ..manifest import Limits
from .windows import decode_utf8

SCRIPTS = ("t2s",)  # OpenCC's names of conversions


@cache
def _converter(script: str) -> Any:
    """OpenCC's converter; ManifestError where the package is missing (only tasks with a script need it)."""
    try:
        import opencc
    except ImportError as error:
        raise ManifestError(f"script {script} needs the package opencc ({error}): pip install opencc") from None
    return opencc.OpenCC(script)


def check_script(script: str) -> None:
    """ManifestError where texts cannot be converted here."""
    _converter(script)


@lru_cache(maxsize=65536)
def _character(char: str, script: str) -> str:
    """One character's other form; itself where that is not one character."""
    other: str = _converter(script).convert(char)
    return other if len(other) == 1 else char


def convert(text: str, script: str) -> str:
    """The text in the other script, of the same length.

    OpenCC chooses by phrases ("著名" but "看着"); where that changes the length, it is done character by character.
    """
    whole: str = _converter(script).convert(text)
    return whole if len(whole) == len(text) else "".join(_character(char, script) for char in text)


def convert_item(raw: bytes | str, script: str, limits: Limits) -> bytes | str:
    """A request's text converted; one that will be refused (not UTF-8, too long) is left as it is."""
    try:
        text = decode_utf8(raw)
    except InvalidItem:
        return raw
    return convert(text, script) if len(text) <= limits.max_chars else raw
