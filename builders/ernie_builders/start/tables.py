"""The table of a task, as TOML with comments, from what was seen in its data."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ernie_runtime.kinds import get_kind

from ..checkpoints.base_models import BaseModel
from ..config.limits import PAIRED, stride_of
from ..readers.sniff import Sniffed

SHORTEST, LONGEST = 32, 256  # bounds of max_length in tokens; longer texts are read in windows
QUESTION, ANSWER = 32, 40  # tokens of a question and of an answer
ENOUGH = 5000  # rows that three epochs suffice for
MOST_EPOCHS = 20
EXAMPLES = 3
LONG_EXAMPLE = 400  # characters
TRADITIONAL = 0.1  # share of characters outside GB 2312: a third of DRCD's, under a hundredth of simplified text


def quoted(value: object) -> str:
    """A string, number or list of strings as TOML, which takes JSON's escapes."""
    return json.dumps(value, ensure_ascii=False)


def key(name: str) -> str:
    """A name as a key of TOML, which needs quotes where it is not ASCII."""
    return name if name.isascii() else quoted(name)


def task_table(name: str, sniffed: Sniffed, folder: str, base_model: BaseModel) -> str:
    """The text of a tasks file with one task.

    folder: of the data, relative to the tasks file.
    """
    lines = [
        f"# {sniffed.container}; {'; '.join(sniffed.reasons)}.",
        f"[tasks.{key(name)}]",
        f"kind = {quoted(sniffed.kind)}",
        f"title = {quoted(name)}",
        f"base_model = {quoted(base_model.name)}",
        *_labels(sniffed),
        *_examples(sniffed),
        *_options(name, sniffed, base_model.encoder.hidden),
        "",
        f"[tasks.{key(name)}.limits]",
        *_limits(sniffed),
        "",
        f"[tasks.{key(name)}.data]",
        *_data(sniffed, folder),
        "",
        f"[tasks.{key(name)}.train]",
        *_train(sniffed.files["train"].rows, base_model),
    ]
    return "\n".join(lines) + "\n"


def _labels(sniffed: Sniffed) -> Iterator[str]:
    if sniffed.tags:
        yield f"labels = {quoted(list(sniffed.tags))}"
    elif sniffed.names:
        pairs = ", ".join(f"{quoted(label)} = {quoted(sniffed.names.get(label, label))}" for label in sniffed.labels)
        yield f"labels = {{ {pairs} }}  # as in the data = as in the answers"
    elif sniffed.kind == "ranking":
        yield 'labels = ["0", "1"]  # does not fit the query, fits it'
    elif sniffed.labels:
        yield f"labels = {quoted(list(sniffed.labels))}"


def _examples(sniffed: Sniffed) -> Iterator[str]:
    inputs = len(get_kind(sniffed.kind).inputs)
    items = [item for items in sniffed.examples.values() for item in items[:1] if len(item) == inputs]
    short = [item for item in items if sum(map(len, item)) <= LONG_EXAMPLE]
    chosen = list(dict.fromkeys(short))[:EXAMPLES] or sorted(items, key=lambda item: sum(map(len, item)))[:1]
    yield "examples = ["
    yield from (f"  {quoted(item[0] if inputs == 1 else list(item))}," for item in chosen)
    yield "]  # for warm-up and for `ernie-triton demo`"


def _options(name: str, sniffed: Sniffed, hidden: int) -> Iterator[str]:
    options: Mapping[str, object] = {}
    if sniffed.kind == "intent_slots":
        options = {"slots": list(sniffed.slots)}
    elif sniffed.kind == "similarity":
        options = {"dimension": hidden, "pooling": "mean", "max_score": sniffed.max_score}
    elif sniffed.kind == "question_answering":
        options = {"max_answer_tokens": ANSWER, "max_question_tokens": QUESTION}
        if is_traditional(text for items in sniffed.examples.values() for item in items for text in item):
            options = {**options, "script": "t2s"}
    if options:
        yield from ("", f"[tasks.{key(name)}.options]", *(f"{key} = {quoted(value)}" for key, value in options.items()))
    if "script" in options:
        yield "# script: traditional characters are read as simplified ones; out with it for a model that knows them"


def is_traditional(texts: Iterable[str]) -> bool:
    """Whether texts are in traditional characters: many of them are not in GB 2312, which has the simplified ones."""
    ideographs = [char for text in texts for char in text if "\u4e00" <= char <= "\u9fff"]
    outside = sum(not char.encode("gb2312", "ignore") for char in ideographs)
    return outside > TRADITIONAL * len(ideographs)


def _limits(sniffed: Sniffed) -> Iterator[str]:
    lengths = sniffed.lengths
    needed = (lengths.p99 if lengths else SHORTEST) + 3  # special tokens; a Chinese character is about one token
    shortest = 128 if sniffed.kind == "question_answering" else SHORTEST
    length = min(LONGEST, max(shortest, 16 * math.ceil(needed / 16)))
    seen = f"texts have {lengths.median} characters at the median, {lengths.p99} at p99" if lengths else "a guess"
    yield f"max_length = {length}  # tokens of a window; {seen}"
    yield f"doc_stride = {stride_of(sniffed.kind, length)}  # between the starts of two windows of a longer text"
    if sniffed.kind in PAIRED:
        yield 'overflow = "truncate"'


def _data(sniffed: Sniffed, folder: str) -> Iterator[str]:
    yield f"format = {quoted(sniffed.format)}"
    yield f"folder = {quoted(folder)}  # from this file's folder, or from --data-dir"
    yield f"train = {quoted(_file(sniffed.files['train'].path))}"
    if "dev" in sniffed.files:
        yield f"dev = {quoted(_file(sniffed.files['dev'].path))}"
    if "test" in sniffed.files:
        yield f"# test = {quoted(_file(sniffed.files['test'].path))}  # evaluated too, if it has true labels"
    if "dev" not in sniffed.files and "dev_percent" not in sniffed.fields:
        whole = ", whole groups of rows" if "group" in sniffed.fields else ""
        yield f"# no dev file: a tenth of the training rows is held out to evaluate on{whole}"
    if sniffed.fields:
        pairs = ", ".join(f"{key} = {quoted(value)}" for key, value in sniffed.fields.items())
        yield f"fields = {{ {pairs} }}"


def _file(path: Path) -> str:
    return path.name


def _train(rows: int, base_model: BaseModel) -> Iterator[str]:
    epochs = 3 if rows >= ENOUGH else min(MOST_EPOCHS, math.ceil(3 * ENOUGH / rows))
    yield f"epochs = {epochs}  # {rows:,} rows"
    yield f"batch_size = {32 if rows >= ENOUGH else 16}"
    yield f"# learning_rate: by the size of the base model, {base_model.learning_rate:g} for the one above"
