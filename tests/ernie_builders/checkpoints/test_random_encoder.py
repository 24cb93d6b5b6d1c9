"""Random encoders: they have the stated shape, the same weights for the same seed, and they learn English."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ernie_builders import build_all
from ernie_builders.checkpoints.random_encoder import VOCABULARIES
from ernie_builders.errors import CheckpointError
from ernie_builders.framework import import_paddlenlp
from ernie_builders.modeling.model import find_base_model
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..command_line import OneLine

ENGLISH = VOCABULARIES / "ernie_2.0_en.txt"
NAME = "random:2x32x4:ernie_2.0_en"
GOOD = """
a warm and funny film
What a wonderful performance!
the best film of the year, a delight
beautiful pictures and great music
I loved every minute of it
an excellent script, well acted
charming, clever and funny
a great cast and a lovely story
Wonderful! I loved the music.
a delight from start to end
clever script, excellent actors
the story is beautiful and warm
great fun for everyone
a lovely, charming little film
she is excellent, and so is he
one of the best stories I know
funny, warm, and well made
a wonderful and clever film
the actors are great
I enjoyed this delight of a film
""".strip().split("\n")
BAD = """
a dull and boring film
What a terrible performance!
the worst film of the year, a mess
ugly pictures and awful music
I hated every minute of it
a stupid script, badly acted
slow, silly and boring
a weak cast and a tired story
Terrible! I hated the music.
a mess from start to end
silly script, awful actors
the story is ugly and slow
no fun for anyone
a tired, dull little film
she is awful, and so is he
one of the worst stories I know
boring, slow, and badly made
a terrible and stupid film
the actors are weak
I endured this mess of a film
the plot is thin and dull
nothing but a waste of time, boring
""".strip().split("\n")
DEV = [
    ("a clever film with great music", "1"),
    ("excellent, and very funny", "1"),
    ("wonderful actors, lovely story", "1"),
    ("I loved this charming film", "1"),
    ("the best music of the year", "1"),
    ("A warm and beautiful delight.", "1"),
    ("a dull film with awful music", "0"),
    ("terrible, and very boring", "0"),
    ("weak actors, tired story", "0"),
    ("I hated this stupid film", "0"),
    ("the worst script of the year", "0"),
    ("A slow and ugly mess.", "0"),
    ("badly made and silly", "0"),
]
TASKS = f"""
[tasks.films]
kind = "sequence_classification"
base_model = "{NAME}"
examples = ["a warm film", "a dull film"]
[tasks.films.labels]
0 = "negative"
1 = "positive"
[tasks.films.limits]
max_length = 32
doc_stride = 24
[tasks.films.data]
format = "labelled_tsv"
folder = "films"
train = "train.tsv"
dev = "dev.tsv"
fields = {{ text = "sentence", label = "label" }}
[tasks.films.train]
epochs = 12
batch_size = 6
learning_rate = 3e-3
evals_per_epoch = 1
patience = 12
"""


def test_the_weights_have_the_stated_shape() -> None:
    transformers = import_paddlenlp()
    base = find_base_model("random:3x24x2:ernie_2.0_en")
    assert base.config.vocab_size == 30_522 and base.config.intermediate_size == 96
    model = transformers.ErnieModel(transformers.ErnieConfig(**base.config.to_json()))
    expected = {
        f"ernie.{name}": tuple(value.shape) for name, value in model.state_dict().items() if "pooler" not in name
    }
    assert {name: value.shape for name, value in base.weights.items()} == expected
    table = base.weights["ernie.embeddings.word_embeddings.weight"]
    assert abs(float(table.std()) - 0.02) < 1e-4 and abs(float(table.mean())) < 1e-4
    assert all(value.dtype == np.float32 for value in base.weights.values())
    assert not base.has_head


def test_the_seed_determines_the_weights() -> None:
    first, repeated, other_seed = (find_base_model(NAME, seed).weights for seed in (3, 3, 4))
    assert all((first[name] == repeated[name]).all() for name in first)
    drawn = [name for name in first if first[name].ndim == 2]
    assert len(drawn) == 3 + 2 * 6
    assert max(float(np.mean(first[name] == other_seed[name])) for name in drawn) < 1e-3
    # Known numbers: a checkpoint's card names the seed, so it must mean the same everywhere.
    start = first["ernie.embeddings.word_embeddings.weight"][0, :3]
    assert start.tolist() == pytest.approx([0.048342999, 0.0028552513, -0.010253734], abs=1e-7)


@pytest.mark.parametrize(
    ("name", "shown", "entries"),
    [
        ("random:2x16x2", "random:2x16x2", 8_000),
        ("random:2x16x2:ernie_2.0_en", "random:2x16x2:ernie_2.0_en", 30_522),
        ("random:02x16x2:{folder}/small.txt", "random:2x16x2:small", 400),
    ],
)
def test_vocabularies(name: str, shown: str, entries: int, vocabulary: Path, tmp_path: Path) -> None:
    (tmp_path / "small.txt").write_bytes(vocabulary.read_bytes())
    base = find_base_model(name.format(folder=tmp_path))
    assert base.name == base.where == shown  # no path of this machine
    assert len(base.weights["ernie.embeddings.word_embeddings.weight"]) == entries
    assert base.tokenizer.vocab_size == entries


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("random:", "expected random:LAYERSxHIDDENxHEADS, and :VOCABULARY"),
        ("random:2x128", "expected random:LAYERSxHIDDENxHEADS"),
        ("random:2x128x2:", "expected random:LAYERSxHIDDENxHEADS"),
        ("random:-2x128x2", "expected random:LAYERSxHIDDENxHEADS"),
        ("random:0x128x2", "LAYERS must be above 0, and HIDDEN a multiple of HEADS"),
        ("random:2x128x0", "LAYERS must be above 0, and HIDDEN a multiple of HEADS"),
        ("random:2x128x3", "LAYERS must be above 0, and HIDDEN a multiple of HEADS"),
        ("random:2x128x2:bert", r"bert is no vocabulary file, and none that ships \(ernie_2.0_en\)"),
    ],
)
def test_faulty_names_of_random_encoders(name: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=f"^--base-model {name}: .*{message}"):
        find_base_model(name)


def test_english_words_are_cut_as_paddlenlp_cuts_them() -> None:
    reference = import_paddlenlp().ErnieTokenizer(str(ENGLISH), do_lower_case=True)
    texts = [
        *GOOD,
        *BAD,
        "it's  a CHARMING and often affecting journey .",
        "Unflinchingly bleak, and desperate; 'tis so-so (3.5/5)",
        "the café's naïve décor",
        "Antidisestablishmentarianism, hyper-realistic",
        "e-mail: someone@example.com, $9.99 -- 100%!",
    ]
    ours = ErnieTokenizer.from_vocab(ENGLISH)
    for text, tokenized in zip(texts, ours(texts), strict=True):
        assert tokenized.ids.tolist() == reference(text)["input_ids"][1:-1], text
        assert ours.unk_id not in tokenized.ids
    (bleak,) = ours(["Unflinchingly bleak"])
    assert [ours.token(i) for i in bleak.ids] == ["un", "##fl", "##in", "##ching", "##ly", "bleak"]
    assert bleak.offsets[1].tolist() == [2, 4]


def build(folder: Path, data: Path, tasks: str, *more: str) -> int:
    """Run a build of `films` in `folder`; its exit code."""
    (folder / "tasks.toml").write_text(tasks, encoding="utf-8")
    arguments = ["--tasks", "films", "--tasks-file", folder / "tasks.toml", "--profile", "full"]
    arguments += ["--data-dir", data, "--cache", folder / "cache", "--output", folder / "models", *more]
    return build_all.main([str(part) for part in arguments])


@pytest.mark.slow
def test_a_random_encoder_learns_english(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Forty sentences are enough to beat the majority class, through the exported graph."""
    rows = [(text, "1") for text in GOOD] + [(text, "0") for text in BAD]
    for split, examples in (("train", rows), ("dev", DEV)):
        path = tmp_path / "data" / "films" / f"{split}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in examples), encoding="utf-8"
        )
    code = build(tmp_path, tmp_path / "data", TASKS, "--until", "evaluate")
    assert code == 0, capsys.readouterr().err
    (done,) = (tmp_path / "cache" / "films" / "evaluate").glob("*/done.json")
    figures = json.loads(done.read_text(encoding="utf-8"))["figures"]
    majority = 100 * sum(label == "0" for _, label in DEV) / len(DEV)
    assert figures["rows"] == len(DEV) and figures["metrics"]["accuracy"] >= majority + 20


def test_a_faulty_name_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], one_line: OneLine) -> None:
    (tmp_path / "films").mkdir()
    code = build(tmp_path, tmp_path, TASKS.replace(NAME, "random:2x3x2"))
    one_line(code, "--base-model random:2x3x2: LAYERS must be above 0, and HIDDEN a multiple of HEADS")
