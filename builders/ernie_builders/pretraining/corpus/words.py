"""Words of Chinese text (jieba), and phrases of several words: the units that knowledge masking hides whole."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import numpy as np

from ernie_runtime.install import install_hint
from ernie_runtime.text.tokenization import ErnieTokenizer

from ...errors import ConfigError
from .plain import read_lines

SEGMENTERS = ("jieba", "none")

Segment = Callable[[str], Iterable[str]]


def find_segmenter(name: str, phrases: Path | None = None) -> Segment:
    """Text -> its units in order; their texts joined are the text. ConfigError where the library is missing.

    `none` leaves words to the tokenizer: each Chinese character is one, word pieces of a word stay together.
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
    with tempfile.TemporaryDirectory() as folder:  # it would leave its cache in the shared temporary folder
        tokenizer.tmp_dir = folder
        tokenizer.initialize()
    cut: Segment = tokenizer.cut
    return cut


class Phrases:
    """Words that make a phrase of the user's list are one unit, the longest phrase first."""

    def __init__(self, words: Segment, path: Path) -> None:
        """path: UTF-8, a phrase a line."""
        self.words = words
        self.known = {line.strip() for _, line in read_lines(path) if line.strip()}
        if not self.known:
            raise ConfigError(f"--phrases {path}: holds no phrase; one a line is expected")
        self.longest = max(map(len, self.known))

    def __call__(self, text: str) -> Iterable[str]:
        """Units in order."""
        words = list(self.words(text))
        place = 0
        while place < len(words):
            unit, best = words[place], 1
            joined = unit
            for count in range(2, len(words) - place + 1):
                joined += words[place + count - 1]
                if len(joined) > self.longest:
                    break
                if joined in self.known:
                    unit, best = joined, count
            yield unit
            place += best


def unit_starts(text: str, ids: np.ndarray, offsets: np.ndarray, tokenizer: ErnieTokenizer, cut: Segment) -> np.ndarray:
    """Whether each token begins a unit, bool [n]; ids [n], offsets [n, 2] in characters of the text.

    A word piece (##) always goes on with the unit of the piece before it, whatever the segmenter says.
    """
    units = np.zeros(len(text) + 1, np.int64)
    place = 0
    for number, unit in enumerate(cut(text)):
        units[place : place + len(unit)] = number
        place += len(unit)
    of_token = units[offsets[:, 0]]
    starts = np.ones(len(ids), bool)
    starts[1:] = of_token[1:] != of_token[:-1]
    pieces = np.array([tokenizer.token(int(id)).startswith("##") for id in ids], bool)
    starts &= ~pieces
    starts[:1] = True
    return starts
