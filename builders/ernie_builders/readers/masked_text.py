"""Any texts, with some words masked: what a masked language model is measured on."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ernie_runtime.kinds.fill_mask import MASK

from ..errors import DataError
from . import Example, get_reader, lines

# A Chinese character or a punctuation mark, which are one token each, or an English word.
WORD = re.compile(r"[\u4e00-\u9fff]|[A-Za-z]+|[,.!?;:()'\"，。、！？；：（）“”《》…]")
PART, MOST = 0.15, 3


def read(path: Path, columns: Mapping[str, str], split: str = "") -> Iterator[Example]:
    """A text a line; or the (first) texts of another format, which columns names as `format` with its own columns.

    In each text 15% of the words are masked, at least one and at most three, the same ones every time; target: the
    words, in lower case. An English word that is not one token, or a character that the vocabulary lacks, can never be
    answered rightly. Texts without a word are left out.
    """
    others = {name: value for name, value in columns.items() if name != "format"}
    examples = get_reader(columns["format"])(path, others, split) if "format" in columns else plain(path)
    for example in examples:
        text = example.texts[0]
        if MASK in text:
            raise DataError(f"{path}:{example.line}: the text has a {MASK} already; give the text without it")
        masked, words = mask(text)
        if words:
            yield Example((masked,), words, example.line)


def plain(path: Path) -> Iterator[Example]:
    """A text a line, blank lines aside."""
    for number, line in lines(path):
        if line.strip():
            yield Example((line,), None, number)


def mask(text: str) -> tuple[str, list[str]]:
    """The text with masks, and the words that stood there, in lower case."""
    words = list(WORD.finditer(text))
    count = min(MOST, max(1, round(PART * len(words))), len(words))
    # Seeded by the text: neither its place in the file nor the other rows matter.
    chosen = sorted(random.Random(text).sample(range(len(words)), count))
    parts, end = [], 0
    for word in (words[i] for i in chosen):
        parts += [text[end : word.start()], MASK]
        end = word.end()
    return "".join([*parts, text[end:]]), [words[i][0].lower() for i in chosen]
