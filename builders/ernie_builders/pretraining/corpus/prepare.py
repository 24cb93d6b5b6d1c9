"""From what a user names to what is trained on: vocabulary, text cut once and kept, the weights to start from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ernie_runtime.text.tokenization import ErnieTokenizer

from ...checkpoints.checkpoint import BASES, Checkpoint
from ...checkpoints.delta import fingerprint
from ...checkpoints.pretraining_head import FILE as HEAD_FILE
from ...checkpoints.pretraining_head import with_pretraining_head
from ...checkpoints.random_encoder import PREFIX
from ...config.tasks import ASSETS
from ...console import say
from ...errors import ConfigError, DataError
from ...filesystem import locked, sha256_of, whole_folder
from ...modeling.model import find_base_model, vocabulary_of_base_model
from ..config import PretrainConfig, Source
from . import stream as streams
from .id_format import read_ids
from .packed import packed_file, read_packed
from .sentence_tasks import TextCorpus
from .sequences import NONE, Corpus
from .stream import Stream
from .text import paragraphs, read_text, text_files
from .vocabulary import most_frequent, with_vocabulary
from .words import find_segmenter

FOLDER = "corpus"  # in the output folder
FORMAT = 1  # raise it when the same text is cut in another way


@dataclass(frozen=True)
class Prepared:
    """What is trained on."""

    tokenizer: ErnieTokenizer
    vocabulary: Path
    corpus: Corpus
    held_out: Corpus
    key: str  # stands for the text as it was cut


def find_vocabulary(source: Source, init: str, output: Path) -> Path:
    """--vocab, the packed text's own, the checkpoint's of --init, else the embedded encoder's; pruned if asked for."""
    if source.vocabulary is not None:
        given = source.vocabulary
        if not given.is_file():
            raise ConfigError(f"--vocab {given}: no such file")
    elif source.format == "packed" and (source.data[0] / "vocab.txt").is_file():
        given = source.data[0] / "vocab.txt"
    elif source.format == "ids":
        raise ConfigError("--vocab: with --format ids, give the vocabulary that the ids are of")
    elif init and not init.startswith(PREFIX):
        given = vocabulary_of_base_model(init)
    else:
        given = ASSETS / "encoder" / "vocab.txt"
    tokenizer = ErnieTokenizer.from_vocab(given)
    if not source.vocabulary_size:
        return given
    if source.format != "text":
        raise ConfigError(f"--vocab-size: ids are fixed with --format {source.format}; it is for text")
    files = text_files(source.data)
    marks = [tokenizer.fingerprint, source.vocabulary_size, *map(_sha256, files)]
    target = output / FOLDER / f"vocab_{_key(marks)}.txt"
    if not target.is_file():
        say(f"    counting which {source.vocabulary_size:,} entries of {given.name} the text uses most")
        most_frequent(paragraphs(files), tokenizer, source.vocabulary_size, target)
    return target


def prepare(source: Source, config: PretrainConfig, vocabulary: Path, output: Path) -> Prepared:
    """Read and cut the text, or take what a run before has cut from the same files."""
    tokenizer = ErnieTokenizer.from_vocab(vocabulary)
    if source.format == "ids":
        return _ids(source, config, tokenizer, vocabulary)
    files = [packed_file(source.data[0])] if source.format == "packed" else text_files(source.data)
    held_files = [source.held_out] if source.held_out else []
    marks = [_sha256(path) for path in (*files, *held_files, *([source.phrases] if source.phrases else []))]
    settings = [source.format, source.segmenter, tokenizer.fingerprint, len(held_files), FORMAT]
    key = _key([marks, settings])
    whole = _kept(output, key, "text", files, source, tokenizer)
    if held_files:
        train, held = whole, _kept(output, key, "held_out", held_files, source, tokenizer)
    else:
        train, held = streams.split(whole, config.held_out_tokens, f"--data {source.data[0]}")
    say(f"    {len(train):,} tokens in {train.document_count:,} documents; held out {len(held):,}")
    tasks = config.sentence_tasks
    return Prepared(tokenizer, vocabulary, TextCorpus(train, tasks), TextCorpus(held, tasks), key)


def _kept(output: Path, key: str, name: str, files: list[Path], source: Source, tokenizer: ErnieTokenizer) -> Stream:
    folder = output / FOLDER / key / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent):  # another process may be reading the same text
        if not folder.is_dir():
            if source.format == "packed":
                found = read_packed(files[0], tokenizer)
            else:
                found = read_text(files, tokenizer, find_segmenter(source.segmenter, source.phrases))
            with whole_folder(folder) as new:
                streams.save(found, new)
    return streams.load(folder)


def _ids(source: Source, config: PretrainConfig, tokenizer: ErnieTokenizer, vocabulary: Path) -> Prepared:
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
    corpus, held = (read_ids(part, tokenizer, task) for part in (files, [source.held_out]))
    say(f"    {len(corpus.made):,} sequences, {len(corpus.stream):,} tokens; held out {len(held.made):,} sequences")
    marks = [_sha256(path) for path in (*files, source.held_out)]
    key = _key([marks, tokenizer.fingerprint, FORMAT])
    return Prepared(tokenizer, vocabulary, corpus, held, key)


def find_start(init: str, shape: str, vocabulary: Path, seed: int) -> Checkpoint:
    """The weights to begin with: of --init with its pre-training head if it has one, else random of --shape."""
    if not init:
        return find_base_model(f"{PREFIX}{shape}:{vocabulary}", seed)
    return with_vocabulary(with_own_head(find_base_model(init, seed)), vocabulary)


def with_own_head(found: Checkpoint) -> Checkpoint:
    """The checkpoint with its pre-training head, where it has one."""
    stored = BASES.get(found.where, Path(found.where)) / HEAD_FILE
    has_head = stored.is_file() or any(name.startswith("cls.predictions.") for name in found.weights)
    return with_pretraining_head(found) if has_head else found


def start_key(start: Checkpoint) -> str:
    """Stands for the weights that a run begins with."""
    return fingerprint(start.weights)[:16]


def _key(marks: Any) -> str:
    return hashlib.sha256(json.dumps(marks).encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
