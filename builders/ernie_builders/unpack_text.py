"""Decode packed tokens to plain text, for a model with another vocabulary: `ernie-triton build unpack-text`.

    ernie-triton build unpack-text tokens.u16.xz --vocab vocab.txt --output corpus.txt

One document per line, blank lines between. The tokens were lower-cased when they were packed, and blanks between
Chinese characters are gone; between two Latin words one is put back.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ernie_runtime.command_line import CommandLine, json_output
from ernie_runtime.json_types import JsonObject
from ernie_runtime.text.tokenization import ErnieTokenizer

from .console import bar, run_command, say
from .filesystem import disk_error, whole_file
from .pretraining.corpus.packed import read_packed

NAME = "ernie-triton build unpack-text"


def documents(path: Path, vocabulary: Path) -> Iterator[str]:
    """The documents of a packed file in order; DataError if it is none, VocabularyError for the vocabulary."""
    tokenizer = ErnieTokenizer.from_vocab(vocabulary)
    stream = read_packed(path, tokenizer)
    tokens = [tokenizer.token(index) for index in range(tokenizer.vocab_size)]
    texts = np.array([token.removeprefix("##") if len(token) > 2 else token for token in tokens], object)
    for special in tokenizer.special_ids:
        texts[special] = ""
    # A Latin word after another one that it does not continue.
    is_latin = np.array([bool(text) and text[0].isalnum() and text[0] < "\u2000" for text in texts])
    begins_word = is_latin & np.array([not token.startswith("##") for token in tokens])
    for start, end in zip(stream.documents[:-1], stream.documents[1:], strict=True):
        ids = stream.ids[start:end].astype(np.int64)
        pieces = texts[ids]
        spaced = begins_word[ids[1:]] & is_latin[ids[:-1]]
        pieces[1:][spaced] = " " + pieces[1:][spaced]
        if text := "".join(pieces):
            yield text


def unpack(path: Path, vocabulary: Path, output: Path) -> JsonObject:
    """Write the documents to `output`, UTF-8; where, and how many."""
    count = 0
    with whole_file(output) as new, new.open("w", encoding="utf-8") as out, bar(0, output.name, "document") as shown:
        for text in documents(path, vocabulary):
            out.write(f"{text}\n\n")
            count += 1
            shown.update()
    say(f"{output}: {count:,} documents")
    return {"output": str(output), "documents": count}


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a fault (one line), 2 usage."""
    p = CommandLine(prog=NAME, description=__doc__)
    p.add_argument("packed", type=Path, help="tokens.u16 or tokens.u16.xz")
    p.add_argument("--vocab", type=Path, required=True, help="the vocab.txt that it was packed with")
    p.add_argument("--output", type=Path, required=True, help="text file to write")
    p.add_argument("--json", action="store_true", help="print one object: the file, and its number of documents")
    args = p.parse_args(argv)
    with json_output(args.json) as report:
        return run_command(
            NAME,
            lambda: report(unpack(args.packed, args.vocab, args.output)),
            lambda error: disk_error(error, args.output),
        )


if __name__ == "__main__":
    sys.exit(main())
