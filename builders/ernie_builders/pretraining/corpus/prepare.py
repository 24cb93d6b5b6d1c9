"""Prepare the text: choose the vocabulary, read and cut the text once, keep the result on disk."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.text.tokenizer import Tokenizer
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ...checkpoints.random_encoder import PREFIX
from ...checkpoints.tokenizer_files import tokenizer_file, write_tokenizer
from ...config.tasks import ASSETS
from ...console import say
from ...errors import ConfigError, DataError
from ...filesystem import locked, sha256_of, whole_folder
from ...modeling.model import tokenizer_of_base_model
from ..config import PretrainConfig, Source
from . import stream as streams
from .id_format import read_ids
from .packed import packed_file, read_packed
from .sentence_tasks import TextCorpus
from .sequences import NONE, Corpus
from .stream import Stream
from .text import paragraphs, read_text, text_files
from .vocabulary import most_frequent
from .words import find_segmenter

FOLDER = "corpus"  # in the output folder
FORMAT = 1  # raise it when the same text is to be cut in another way


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The text as a corpus to train on and one to evaluate on."""

    tokenizer: Tokenizer
    corpus: Corpus
    held_out: Corpus
    key: str  # identifies the text and how it is cut


def find_vocabulary(source: Source, init: str, output: Path) -> Path:
    """The vocabulary: of --vocab, else of the packed text, of --init, of the embedded encoder; cut to --vocab-size."""
    if source.vocabulary is not None:
        chosen = source.vocabulary
        if not chosen.is_file():
            raise ConfigError(f"--vocab {chosen}: no such file")
    elif source.format == "packed" and (own := tokenizer_file(source.data[0])) is not None:
        chosen = own
    elif source.format == "ids":
        raise ConfigError("--vocab: with --format ids, give the vocabulary that the ids are of")
    elif init and not init.startswith(PREFIX):
        chosen = write_tokenizer(output / FOLDER, tokenizer_of_base_model(init))
    else:
        chosen = ASSETS / "encoder" / "vocab.txt"
    tokenizer = load_tokenizer(chosen)
    if not source.vocabulary_size:
        return chosen
    if source.format != "text":
        raise ConfigError(f"--vocab-size: ids are fixed with --format {source.format}; it is for text")
    files = text_files(source.data)
    fingerprints = [tokenizer.fingerprint, source.vocabulary_size, *map(_sha256, files)]
    target = output / FOLDER / f"vocab_{_key(fingerprints)}.txt"
    if not target.is_file():
        say(f"    counting which {source.vocabulary_size:,} entries of {chosen.name} the text uses most")
        most_frequent(paragraphs(files), tokenizer, source.vocabulary_size, target)
    return target


def prepare(source: Source, config: PretrainConfig, vocabulary: Path, output: Path) -> Prepared:
    """Read and cut the text, or load it from `output` if the same files were cut before."""
    tokenizer = load_tokenizer(vocabulary)
    if source.format == "ids":
        return _prepare_ids(source, config, tokenizer)
    files = [packed_file(source.data[0])] if source.format == "packed" else text_files(source.data)
    held_out_files = [source.held_out] if source.held_out else []
    hashes = [_sha256(path) for path in (*files, *held_out_files, *([source.phrases] if source.phrases else []))]
    settings = [source.format, source.segmenter, tokenizer.fingerprint, len(held_out_files), FORMAT]
    key = _key([hashes, settings])
    stream = _cached_stream(output / FOLDER / key / "text", files, source, tokenizer)
    if held_out_files:
        train = stream
        held_out = _cached_stream(output / FOLDER / key / "held_out", held_out_files, source, tokenizer)
    else:
        train, held_out = streams.split(stream, config.held_out_tokens, f"--data {source.data[0]}")
    say(f"    {len(train):,} tokens in {train.document_count:,} documents; held out {len(held_out):,}")
    return Prepared(
        tokenizer=tokenizer,
        corpus=TextCorpus(train, config.sentence_tasks),
        held_out=TextCorpus(held_out, config.sentence_tasks),
        key=key,
    )


def _cached_stream(folder: Path, files: list[Path], source: Source, tokenizer: Tokenizer) -> Stream:
    """The stream in `folder`, which is read from `files` first if it is not there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent):  # another process may be reading the same text
        if not folder.is_dir():
            if source.format == "packed":
                stream = read_packed(files[0], tokenizer)
            else:
                stream = read_text(files, tokenizer, find_segmenter(source.segmenter, source.phrases))
            with whole_folder(folder) as new:
                streams.save(stream, new)
    return streams.load(folder)


def _prepare_ids(source: Source, config: PretrainConfig, tokenizer: Tokenizer) -> Prepared:
    others = [name for name in config.sentence_tasks if name != "nsp"]
    if others:
        raise ConfigError(f"--sentence-tasks {others[0]}: --format ids has ready-made pairs, whose labels are nsp's")
    task = 0 if config.sentence_tasks else NONE
    files = list(source.data)
    missing = [path for path in (*files, *([source.held_out] if source.held_out else [])) if not path.is_file()]
    if missing:
        raise DataError(f"--data {missing[0]}: no such file")
    if source.held_out is None:
        raise ConfigError("--held-out: with --format ids, give a file with held-out sequences")
    corpus, held_out = (read_ids(paths, tokenizer, task) for paths in (files, [source.held_out]))
    say(
        f"    {len(corpus.pairs):,} sequences, {len(corpus.stream):,} tokens; "
        f"held out {len(held_out.pairs):,} sequences"
    )
    hashes = [_sha256(path) for path in (*files, source.held_out)]
    key = _key([hashes, tokenizer.fingerprint, FORMAT])
    return Prepared(tokenizer=tokenizer, corpus=corpus, held_out=held_out, key=key)


def _key(values: object) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
