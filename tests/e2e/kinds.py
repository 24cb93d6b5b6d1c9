"""Small tasks of every kind besides the first two, from real sentences: what `every_kind` of conftest.py serves."""

from __future__ import annotations

import json
from pathlib import Path

from ernie_builders import build_all
from ernie_builders.config.tasks import ASSETS
from ernie_builders.readers.bio_columns import read as read_entities
from ernie_builders.readers.squad_json import read as read_questions

LIMITS = "limits = { max_length = 64, doc_stride = 24 }"
CUT = 'limits = { max_length = 64, doc_stride = 24, overflow = "truncate" }'
TRAIN = "train = { epochs = 1, batch_size = 16, learning_rate = 5e-3, dropout = 0.0, evals_per_epoch = 1 }"
PAIR = 'data = { format = "labelled_tsv", folder = "pairs", train = "train.tsv", dev = "train.tsv", fields = { text = "text_a", text_pair = "text_b", label = "label" } }'  # noqa: E501
TASKS = f"""
[tasks.pair]
kind = "pair_classification"
labels = ["0", "1"]
{CUT}
{PAIR}
{TRAIN}
[tasks.reading]
kind = "question_answering"
options = {{ max_answer_tokens = 10, max_question_tokens = 20 }}
{LIMITS}
data = {{ format = "squad_json", folder = "reading", train = "train.json", dev = "train.json" }}
{TRAIN}
[tasks.spoken]
kind = "intent_slots"
labels = ["names", "no_names"]
options = {{ slots = ["PER", "LOC", "ORG"] }}
limits = {{ max_length = 32, doc_stride = 16 }}
data = {{ format = "nlpcc_slu", folder = "spoken", train = "train.txt", dev = "train.txt" }}
{TRAIN}
[tasks.tree]
kind = "hierarchical_classification"
labels = ["name", "name##PER", "place", "place##LOC", "place##ORG"]
{LIMITS}
data = {{ format = "hierarchy_tsv", folder = "tree", train = "train.txt", dev = "train.txt" }}
{TRAIN}
[tasks.alike]
kind = "similarity"
options = {{ dimension = 32 }}
{LIMITS}
{PAIR}
{TRAIN}
[tasks.search]
kind = "ranking"
labels = ["0", "1"]
{CUT}
data = {{ format = "ranking_json", folder = "search", train = "train.json", dev = "train.json" }}
{TRAIN}
[tasks.vector]
kind = "embedding"
options = {{ dimension = 32 }}
examples = ["今天天气很好"]
{LIMITS}
data = {{ format = "labelled_tsv", folder = "none" }}
[tasks.tokens]
kind = "token_embedding"
options = {{ dimension = 32 }}
examples = ["今天天气很好"]
{CUT}
data = {{ format = "labelled_tsv", folder = "none" }}
[tasks.both]
kind = "pair_embedding"
options = {{ dimension = 32 }}
examples = [["今天天气很好", "今天很热"]]
{CUT}
data = {{ format = "labelled_tsv", folder = "none" }}
[tasks.blank]
kind = "fill_mask"
base_model = "embedded"
examples = ["今天天气很[MASK]。"]
{LIMITS}
data = {{ format = "masked_text", folder = "none" }}
"""
TASK_OF = {
    "pair_classification": "pair",
    "question_answering": "reading",
    "intent_slots": "spoken",
    "hierarchical_classification": "tree",
    "similarity": "alike",
    "ranking": "search",
    "embedding": "vector",
    "token_embedding": "tokens",
    "pair_embedding": "both",
    "fill_mask": "blank",
}
QUESTIONS, ARTICLES = 40, 10  # to train and evaluate on
UNTRAINED = ("vector", "tokens", "both")  # from the weights of `alike`


def questions() -> list[tuple[str, str]]:
    """Real questions with their real contexts."""
    path = ASSETS / "samples" / "cmrc2018" / "train.json"
    return [(e.texts[0], e.texts[1]) for e in read_questions(path, {}, "train")]


def write_data(root: Path) -> None:
    """Real sentences in each kind's format."""
    question_pairs = questions()[:QUESTIONS]
    sentences = [e for e in read_entities(ASSETS / "samples" / "msra_ner" / "train.txt", {}) if e.target][:60]

    def write(name: str, text: str) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")

    short = [(question, context.split("。")[0][:40].replace("\t", " ")) for question, context in question_pairs]
    rows = [f"{q}\t{c}\t1\n{q}\t{short[i - 1][1]}\t0\n" for i, (q, c) in enumerate(short)]
    write("pairs/train.tsv", "text_a\ttext_b\tlabel\n" + "".join(rows))
    sample = json.loads((ASSETS / "samples" / "cmrc2018" / "train.json").read_text(encoding="utf-8"))
    sample["data"] = sample["data"][:ARTICLES]
    write("reading/train.json", json.dumps(sample, ensure_ascii=False))
    ranked = [
        {"query": q, "candidates": [c, short[i - 1][1], short[i - 2][1]], "positives": [0]}
        for i, (q, c) in enumerate(short)
    ]
    write("search/train.json", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ranked))
    write(
        "tree/train.txt",
        "".join(
            f"{e.texts[0]}\t{','.join(sorted({('name##' if k == 'PER' else 'place##') + k for _, _, k in e.target}))}\n"
            for e in sentences
        ),
    )
    spoken = []
    for number, example in enumerate(sentences):
        text, marked, last = example.texts[0], "", 0
        if "<" in text or "|" in text:
            continue
        for start, end, kind in example.target:
            marked += f"{text[last:start]}<{kind}>{text[start:end]}</{kind}>"
            last = end
        intent = "names" if any(kind == "PER" for _, _, kind in example.target) else "no_names"
        spoken.append(f"{number}\t{text}\t{intent}\t{marked}{text[last:]}\n")
    write("spoken/train.txt", "\n".join(spoken))


def items_of(kind: str) -> list[tuple[str, ...]]:
    """Real items, some of several windows, and hard characters."""
    pairs = questions()[:12]
    texts = [context[:length] for (_, context), length in zip(pairs, (20, 300, 45, 8) * 3, strict=True)]
    texts += ["打电话给18866668888，iPhone15Pro　ＡＢＣ", "😀café  x"]
    if kind in ("pair_classification", "similarity", "pair_embedding"):
        return [(text, texts[i - 1]) for i, text in enumerate(texts)]
    if kind == "question_answering":
        return [*pairs, ("电话是多少", "打电话给18866668888，iPhone15Pro😀")]
    if kind == "ranking":
        return [(question, json.dumps(texts[:n], ensure_ascii=False)) for n, (question, _) in enumerate(pairs, 1)]
    if kind == "fill_mask":
        return [(f"{text}[MASK]{text[:9]}[MASK]",) for text in texts]
    return [(text,) for text in texts]


def build(root: Path) -> None:
    """The tasks, built over the encoder in `root / "base"` into `root / "repository"`."""
    write_data(root / "data")
    (root / "data" / "none").mkdir()
    (root / "tasks.toml").write_text(TASKS, encoding="utf-8")
    common = ["--tasks-file", str(root / "tasks.toml"), "--cache", str(root / "build")]
    common += ["--output", str(root / "repository")]
    trained = ",".join(name for name in TASK_OF.values() if name not in (*UNTRAINED, "blank"))
    data = ["--profile", "full", "--data-dir", str(root / "data"), "--base-model", str(root / "base")]
    assert build_all.main([*common, *data, "--tasks", trained]) == 0
    (alike,) = (path for path in (root / "build" / "alike" / "fine-tune").iterdir() if (path / "best").is_dir())
    checkpoints = [word for name in UNTRAINED for word in ("--checkpoint", f"{name}={alike / 'best'}")]
    assert build_all.main([*common, "--tasks", ",".join((*UNTRAINED, "blank")), *checkpoints]) == 0
