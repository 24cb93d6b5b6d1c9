"""Words of Chinese text (jieba), and phrases of several words: the units that knowledge masking masks whole."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import numpy as np

from ernie_runtime.install import install_hint
from ernie_runtime.text.tokenizer import Tokenizer

from ...errors import ConfigError
from ...readers.files.lines import lines

SEGMENTERS = ("jieba", "none")

Segment = Callable[[str], Iterable[str]]


def find_segmenter(name: str, phrases: Path | None = None) -> Segment:
    """A function text -> its units in order, which joined give the text. ConfigError if the library is missing.

    `none` leaves words to the tokenizer: each Chinese character is a unit; the word pieces of a word stay together.
    """
    if name == "none":
        cut: Segment = _whole
    elif name == "jieba":
        cut = _jieba()
    else:
        raise ConfigError(f"--segmenter {name}: expected {' or '.join(SEGMENTERS)}")
    return cut if phrases is None else Phrases(cut, phrases)


def _whole(text: str) -> Iterable[str]:
    return list(text)


@cache
def _jieba() -> Segment:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import jieba
        except ImportError as error:
            raise ConfigError(
                f"jieba cannot be imported ({error}): {install_hint('build')}, or --segmenter none"
            ) from None
    jieba.setLogLevel(logging.WARNING)
    tokenizer = jieba.Tokenizer()
    with tempfile.TemporaryDirectory() as folder:  # else jieba leaves its cache in the shared temporary folder
        tokenizer.tmp_dir = folder
        tokenizer.initialize()
    cut: Segment = tokenizer.cut
    return cut


class Phrases:
    """Joins words to the longest phrase of the user's list."""

    def __init__(self, words: Segment, path: Path) -> None:
        """path: UTF-8, one phrase per line."""
        self.words = words
        self.phrases = {line.strip() for _, line in lines(path) if line.strip()}
        if not self.phrases:
            raise ConfigError(f"--phrases {path}: holds no phrase; one a line is expected")
        self.longest = max(map(len, self.phrases))

    def __call__(self, text: str) -> Iterable[str]:
        """The units of a text, in order."""
        words = list(self.words(text))
        position = 0
        while position < len(words):
            unit, words_in_unit = words[position], 1
            joined = unit
            for count in range(2, len(words) - position + 1):
                joined += words[position + count - 1]
                if len(joined) > self.longest:
                    break
                if joined in self.phrases:
                    unit, words_in_unit = joined, count
            yield unit
            position += words_in_unit


def unit_starts(text: str, ids: np.ndarray, offsets: np.ndarray, tokenizer: Tokenizer, segment: Segment) -> np.ndarray:
    """Whether each token begins a unit, bool [n]; ids [n], offsets [n, 2] in characters of the text.

    A word piece (##) always continues the unit of the piece before it, whatever the segmenter says.
    """
    unit_of_character = np.zeros(len(text) + 1, np.int64)
    start = 0
    for number, unit in enumerate(segment(text)):
        unit_of_character[start : start + len(unit)] = number
        start += len(unit)
    unit_of_token = unit_of_character[offsets[:, 0]]
    starts = np.ones(len(ids), bool)
    starts[1:] = unit_of_token[1:] != unit_of_token[:-1]
    is_piece = np.array([tokenizer.token(int(id)).startswith("##") for id in ids], bool)
    starts &= ~is_piece
    starts[:1] = True
    return starts
