"""Packing loses no token, cuts no word and keeps to its length; labels of sentence tasks are correct."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ernie_builders.pretraining.batches import Cursor, Feeder, lay_out
from ernie_builders.pretraining.corpus.sentence_tasks import CLASSES, ORDERS, TextCorpus
from ernie_builders.pretraining.corpus.sequences import NONE, Sequences
from ernie_builders.pretraining.corpus.stream import Stream, split
from ernie_runtime.text.tokenization import ErnieTokenizer


def make_stream(seed: int, documents: int, longest_unit: int = 4) -> Stream:
    """Documents of 1 to 12 sentences of 1 to 40 tokens; each token's id is its position."""
    generator = np.random.default_rng(seed)
    sizes = [generator.integers(1, 41, int(generator.integers(1, 13))) for _ in range(documents)]
    sentences = np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int64)
    bounds = np.concatenate([[0], np.cumsum([int(part.sum()) for part in sizes])]).astype(np.int64)
    starts = np.zeros(int(sentences[-1]), bool)
    place = 0
    while place < len(starts):
        starts[place] = True
        place += int(generator.integers(1, longest_unit + 1))
    starts[sentences[:-1]] = True
    return Stream(ids=np.arange(len(starts)), starts=starts, sentences=sentences, documents=bounds)


def tokens_of(sequences: Sequences) -> list[int]:
    return [token for start, end in sequences.spans.tolist() for token in range(start, end)]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    documents=st.integers(1, 6),
    length=st.sampled_from([8, 9, 16, 33, 64, 200]),
    tasks=st.sampled_from([(), ("nsp",), ("sop",), ("reorder",), ("distance",), tuple(CLASSES)]),
)
def test_nothing_is_lost(seed: int, documents: int, length: int, tasks: tuple[str, ...]) -> None:
    stream = make_stream(seed, documents, longest_unit=3)
    sequences = TextCorpus(stream, tasks).sequences(length, np.random.default_rng(seed))
    assert sorted(tokens_of(sequences)) == list(range(len(stream)))
    sizes = sequences.spans[:, 1] - sequences.spans[:, 0]
    assert sizes.min() > 0
    for row in range(len(sequences)):
        inside = slice(*sequences.bounds[row : row + 2])
        assert 1 + int((sizes[inside] + 1).sum()) <= length
    if length >= 16 or not tasks:  # else a part has no room for the longest unit
        assert stream.starts[sequences.spans[:, 0]].all(), "a word was cut"


def test_sequences_are_full() -> None:
    stream = make_stream(5, 60)
    sequences = TextCorpus(stream).sequences(64, np.random.default_rng(0))
    sizes = np.add.reduceat(sequences.spans[:, 1] - sequences.spans[:, 0] + 1, sequences.bounds[:-1]) + 1
    assert np.mean(sizes[1:-1]) > 0.95 * 64


def test_a_unit_longer_than_a_sequence_is_cut() -> None:
    starts = np.zeros(100, bool)
    starts[0] = True
    stream = Stream(ids=np.arange(100), starts=starts, sentences=np.array([0, 100]), documents=np.array([0, 100]))
    for tasks in ((), ("sop",)):
        sequences = TextCorpus(stream, tasks).sequences(16, np.random.default_rng(0))
        assert sorted(tokens_of(sequences)) == list(range(100))


@pytest.mark.parametrize("task", list(CLASSES))
def test_labels_of_sentence_tasks_are_correct(task: str) -> None:
    stream = make_stream(3, 150)
    sequences = TextCorpus(stream, (task,)).sequences(64, np.random.default_rng(1))
    document_numbers = np.searchsorted(stream.documents, sequences.spans[:, 0], side="right")
    label_counts: Counter[int] = Counter()
    for row in range(len(sequences)):
        first, last = sequences.bounds[row : row + 2]
        label, spans = int(sequences.labels[row]), sequences.spans[first:last].tolist()
        if sequences.tasks[row] == NONE:
            assert label == NONE
            continue
        label_counts[label] += 1
        follows = len(spans) == 2 and spans[0][1] == spans[1][0]
        same_document = len(set(document_numbers[first:last].tolist())) == 1
        if task == "nsp":
            assert label == int(follows)
        elif task == "sop":
            assert same_document and label == int(follows) and (follows or spans[1][1] == spans[0][0])
        elif task == "distance":
            assert label == (0 if follows else 1 if same_document else 2)
            assert spans[1][1] != spans[0][0], "next to each other, in the wrong order"
        else:
            assert [sorted(spans).index(span) for span in spans] == list(ORDERS[label])
    assert set(label_counts) == set(range(CLASSES[task]))
    if task in ("nsp", "sop"):
        assert 0.4 < label_counts[1] / label_counts.total() < 0.6


def long_documents(count: int, tokens: int) -> Stream:
    """Documents of sentences of 20 tokens, all of one length."""
    bounds = np.arange(0, count * tokens + 1, 20, dtype=np.int64)
    return Stream(
        ids=np.arange(count * tokens),
        starts=np.ones(count * tokens, bool),
        sentences=bounds,
        documents=bounds[:: tokens // 20],
    )


@pytest.mark.parametrize(("count", "tokens"), [(400, 400), (80, 2000), (1, 9000)])
def test_distances_are_balanced_and_do_not_depend_on_the_position(count: int, tokens: int) -> None:
    stream = long_documents(count, tokens)
    sequences = TextCorpus(stream, ("distance",)).sequences(64, np.random.default_rng(1))
    labels = Counter(sequences.labels.tolist())
    for label in (0, 1, 2) if count > 1 else (0, 1):
        rows = np.flatnonzero(sequences.labels == label)
        assert 0.3 < len(rows) / (labels.total() - labels[NONE]) < (0.37 if count > 1 else 0.7)
        early = sequences.spans[sequences.bounds[rows], 0] < len(stream) // 2
        assert 0.4 < early.mean() < 0.6, "of one half of the corpus"


def test_short_documents_do_not_give_away_the_label() -> None:
    """Half of the labels are 1 and lengths do not predict them; titles without a neighbour have no label."""
    stream = long_documents(600, 60)
    sequences = TextCorpus(stream, ("nsp",)).sequences(64, np.random.default_rng(1))
    sizes = sequences.spans[:, 1] - sequences.spans[:, 0]
    labelled = np.flatnonzero(sequences.labels != NONE)
    truth = sequences.labels[labelled]
    assert 0.45 < truth.mean() < 0.55
    shortest = np.array([sizes[sequences.bounds[row] : sequences.bounds[row] + 2].min() for row in labelled])
    assert abs(shortest[truth == 0].mean() - shortest[truth == 1].mean()) < 1
    titles = TextCorpus(long_documents(101, 20), ("nsp",)).sequences(64, np.random.default_rng(1))
    assert set(titles.labels.tolist()) == {NONE} and len(titles) == 51


def test_layout(tokenizer: ErnieTokenizer) -> None:
    stream = Stream(
        ids=np.arange(50, 60),
        starts=np.array([1, 0, 1, 1, 0, 1, 0, 0, 1, 1], bool),
        sentences=np.array([0, 10]),
        documents=np.array([0, 10]),
    )
    spans, bounds = np.array([[0, 3], [5, 8], [8, 10]]), np.array([0, 2, 3])
    sequences = Sequences(spans=spans, bounds=bounds, tasks=np.array([0, NONE]), labels=np.array([1, NONE]))
    ids, types, units = lay_out(sequences, stream, tokenizer, token_types=2)
    assert ids.tolist() == [[1, 50, 51, 52, 2, 55, 56, 57, 2], [1, 58, 59, 2, 0, 0, 0, 0, 0]]
    assert types.tolist() == [[0, 0, 0, 0, 0, 1, 1, 1, 1], [0] * 9]
    assert units.tolist() == [[-1, 0, 0, 1, -1, 2, 2, 2, -1], [-1, 3, 4, -1, -1, -1, -1, -1, -1]]


def test_an_epoch_has_every_sequence_once_and_resumes_from_a_cursor(tokenizer: ErnieTokenizer) -> None:
    stream = make_stream(9, 30)
    corpus = TextCorpus(stream)
    feeder = Feeder(corpus, tokenizer, 2, 0.15, seed=4)
    count = len(feeder._epoch(Cursor(), 32)[0])
    cursor, taken, cursors = Cursor(), [], []
    for _ in range(2 * count // 7 + 1):
        cursors.append(cursor)
        part, cursor = feeder.take(cursor, 32, 7)
        assert len(part) == 7
        taken.append(part.spans.tolist())
    assert cursor.epoch >= 1
    first_epoch = [span for part in taken for span in part][: len(feeder._epoch(Cursor(), 32)[0].spans)]
    assert sorted(t for start, end in first_epoch for t in range(start, end)) == list(range(len(stream)))
    second_feeder = Feeder(corpus, tokenizer, 2, 0.15, seed=4)
    for number in (0, 5, len(cursors) - 1):
        assert second_feeder.take(cursors[number], 32, 7)[0].spans.tolist() == taken[number]
    epochs = [feeder._epoch(Cursor(epoch=epoch), 32)[0].spans.tolist() for epoch in (0, 1)]
    assert epochs[0] != epochs[1]


def test_held_out_text_is_whole_documents_from_the_end() -> None:
    stream = make_stream(2, 40)
    train, held = split(stream, 100, "here")
    assert len(train) + len(held) == len(stream)
    assert train.document_count + held.document_count == 40
    assert 100 <= len(held) < 100 + 12 * 40
    assert held.ids[0] == train.ids[-1] + 1 and held.starts[0]
    assert held.sentences[0] == held.documents[0] == 0 and held.sentences[-1] == len(held)
    document = stream.part(0, 1)
    if len(document.sentences) > 2:
        parts = split(document, 1, "here")
        assert len(parts[0]) + len(parts[1]) == len(document)


@pytest.mark.parametrize(
    "sizes", [[300, 30_000], [1000] * 3, [1000] * 5, [1000] * 30 + [50_000], [9990, 10], [20, 20, 20], [5000] * 100]
)
def test_at_most_a_tenth_is_held_out(sizes: list[int]) -> None:
    documents = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    total = int(documents[-1])
    sentences = np.union1d(documents, np.arange(0, total, 5))
    stream = Stream(ids=np.arange(total), starts=np.ones(total, bool), sentences=sentences, documents=documents)
    train, held = split(stream, 2000, "here")
    assert held.ids.tolist() == list(range(len(train), total))
    assert 0.5 * min(2000, total // 10) <= len(held) <= max(5, total // 10)
    if len(sizes) == 100:
        assert (len(held), held.document_count) == (5000, 1), "a whole document"
