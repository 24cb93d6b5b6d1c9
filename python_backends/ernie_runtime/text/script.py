"""Reads traditional Chinese as simplified, character for character, so that offsets stay those of the text as sent."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from ..errors import InvalidItem, ManifestError
from ..manifest import Limits
from .windows import decode_utf8

SCRIPTS = ("t2s",)  # names of OpenCC's conversions


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
    """The other form of a character; the character itself where that form is not one character."""
    other: str = _converter(script).convert(char)
    return other if len(other) == 1 else char


def convert(text: str, script: str) -> str:
    """The text in the other script, with the same length.

    OpenCC converts by phrases ("著名" but "看着"); where that changes the length, each character is converted alone.
    """
    whole: str = _converter(script).convert(text)
    return whole if len(whole) == len(text) else "".join(_character(char, script) for char in text)


def convert_item(raw: bytes | str, script: str, limits: Limits) -> bytes | str:
    """A text of a request, converted; one that will be refused (not UTF-8, too long) is returned as it is."""
    try:
        text = decode_utf8(raw)
    except InvalidItem:
        return raw
    return convert(text, script) if len(text) <= limits.max_chars else raw
