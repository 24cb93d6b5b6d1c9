"""Texts in which some words are masked: what a masked language model is evaluated on."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ernie_runtime.kinds.fill_mask import MASK

from ..errors import DataError
from . import Example, get_reader
from .files.lines import lines
from .files.report import Report

# A Chinese character or a punctuation mark (one token each), or an English word.
WORD = re.compile(r"[\u4e00-\u9fff]|[A-Za-z]+|[,.!?;:()'\"，。、！？；：（）“”《》…]")
MASKED_SHARE, MAX_MASKS = 0.15, 3  # of a text's words


def read(path: Path, columns: Mapping[str, str], split: str = "", report: Report | None = None) -> Iterator[Example]:
    """One text per line; or the first text of each example of another format, named by the column `format`.

    In each text 15% of the words are masked, at least one and at most three, always the same ones; target: these
    words in lower case. An English word of several tokens, or a character that the vocabulary lacks, cannot be
    predicted. Texts without a word are left out. columns: `format`, and the columns of that format.
    """
    report = report or Report()
    format_columns = {name: value for name, value in columns.items() if name != "format"}
    examples = (
        get_reader(columns["format"])(path, format_columns, split, report)
        if "format" in columns
        else plain(path, report)
    )
    for example in examples:
        text = example.texts[0]
        if MASK in text:
            raise DataError(f"{path}:{example.line}: the text has a {MASK} already; give the text without it")
        masked, words = mask(text)
        if words:
            yield Example((masked,), words, example.line)


def plain(path: Path, report: Report) -> Iterator[Example]:
    """One text per line; blank lines are skipped."""
    for number, line in lines(path, report):
        if line.strip():
            yield Example((line,), None, number)


def mask(text: str) -> tuple[str, list[str]]:
    """The text with masks, and the masked words in lower case."""
    words = list(WORD.finditer(text))
    count = min(MAX_MASKS, max(1, round(MASKED_SHARE * len(words))), len(words))
    # Seeded with the text, so that neither its position in the file nor the other rows matter.
    chosen = sorted(random.Random(text).sample(range(len(words)), count))
    parts, end = [], 0
    for word in (words[i] for i in chosen):
        parts += [text[end : word.start()], MASK]
        end = word.end()
    return "".join([*parts, text[end:]]), [words[i][0].lower() for i in chosen]
