"""Intent and slots when building: targets, learnt values, metrics computed by hand, a model that learns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.framework import import_paddle
from ernie_builders.kinds import IGNORED, get_builder_kind
from ernie_builders.kinds.intent_slots import MAX_VALUES, learn_values
from ernie_builders.modeling.model import build_model, weights_of
from ernie_builders.readers import Example
from ernie_runtime.kinds import Answer, get_kind
from ernie_runtime.kinds.intent_slots import slot_tags
from ernie_runtime.manifest import Label
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.windows import Window

from ..places import Place
from ..tiny import manifest_with

KIND = get_builder_kind("intent_slots")
INTENTS = ("OTHERS", "play", "call")
MANIFEST = replace(
    manifest_with(3, "intent_slots"),
    labels=tuple(Label(name, f"to {name}") for name in INTENTS),
    options={"slots": ["song", "singer"]},
)
Slot = tuple[int, int, str, str]


def example(text: str, intent: str = "OTHERS", *slots: Sequence[Any]) -> Example:
    return Example((text,), {"intent": intent, "slots": [list(slot) for slot in slots]}, 1)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"intent": "play", "slots": [[0, 2, "song", "x"], [2, 4, "singer", "y"]]}, None),
        ({"intent": "OTHERS", "slots": []}, None),
        ("play", "expected an intent and slots, as the format nlpcc_slu gives them"),
        ({"slots": []}, "expected an intent and slots"),
        ({"intent": "sing", "slots": []}, "intent 'sing' is none of OTHERS, play, call"),
        ({"intent": "to play", "slots": []}, "intent 'to play' is none of OTHERS, play, call"),
        ({"intent": "play", "slots": [[0, 2, "album", "x"]]}, "slot 'album' is none of song, singer (the task's"),
        ({"intent": "play", "slots": [[0, 5, "song", "x"]]}, "slot song at 0..5 overlaps another or lies outside"),
        ({"intent": "play", "slots": [[2, 2, "song", "x"]]}, "slot song at 2..2 overlaps"),
        ({"intent": "play", "slots": [[0, 3, "song", "x"], [2, 4, "song", "x"]]}, "slot song at 2..4 overlaps"),
    ],
)
def test_check(target: Any, message: str | None) -> None:
    fault = KIND.check(Example(("花心吧吧",), target, 1), MANIFEST)
    assert fault is None if message is None else str(fault).startswith(message)


def window(start: int, end: int) -> Window:
    """A window over characters start..end, each a token."""
    offsets = np.zeros((end - start + 2, 2), np.int32)
    offsets[1:-1, 0], offsets[1:-1, 1] = np.arange(start, end), np.arange(start, end) + 1
    return Window(
        owner=0,
        input_ids=np.ones(len(offsets), np.int64),
        token_type_ids=np.zeros(len(offsets), np.int64),
        offsets=offsets,
    )


def test_targets() -> None:
    """Every window learns the intent; one that starts inside a slot sees I- first."""
    utterance = example("放周华健花心吧", "play", (1, 4, "singer", "周华健"), (4, 6, "song", "花心"))
    first, second = KIND.targets(utterance, [window(0, 3), window(2, 7)], MANIFEST)
    tags = slot_tags(MANIFEST).tags
    assert tags == ("O", "B-song", "I-song", "B-singer", "I-singer")
    assert [int(t["intent"]) for t in (first, second)] == [1, 1]
    names = [[None if i == IGNORED else tags[i] for i in t["tags"].tolist()] for t in (first, second)]
    assert names == [
        [None, "O", "B-singer", "I-singer", None],
        [None, "I-singer", "I-singer", "B-song", "I-song", "O", None],
    ]


def commands(surface: str, value: str, slot: str = "song", times: int = 1) -> list[Example]:
    return [example(f"放{surface}", "play", (1, 1 + len(surface), slot, value))] * times


def test_a_value_is_learnt_from_a_clear_majority() -> None:
    rows = [
        *commands("体验", "体面", times=9),
        *commands("体验", "体验"),
        *commands("奇隆", "祁隆", "singer", times=3),
        *commands("奇隆", "奇隆", "singer"),
        *commands("花心", "花心", times=5),  # meant as it is said
        *commands("爱", "我爱", times=2),
        *commands("爱", "爱你"),  # two of three are no clear majority
        *commands("甲", "乙"),
        *commands("奇隆", "奇隆", "song"),  # of another slot
    ]
    expected = {"singer": {"奇隆": "祁隆"}, "song": {"体验": "体面", "甲": "乙"}}
    assert learn_values(rows) == expected
    assert json.dumps(learn_values(rows[::-1])) == json.dumps(expected)
    assert learn_values([example("今天")]) == {}


def test_learn() -> None:
    rows = [*commands("甲", "乙"), *commands("甲", "甲", "singer"), example("今天"), example("停", "OTHERS")]
    learnt = KIND.learn(MANIFEST, rows, commands("丙", "丁"), _no_pipeline)  # the dev text teaches nothing
    assert learnt == {"values": {"song": {"甲": "乙"}}, "slots_of": {"OTHERS": [], "play": ["singer", "song"]}}
    get_kind("intent_slots").check(replace(MANIFEST, options={**MANIFEST.options, **learnt}))
    assert KIND.learn(MANIFEST, [], rows, _no_pipeline) == {}


def _no_pipeline() -> Pipeline:
    raise AssertionError("values need no model")


def test_values_are_bounded_and_the_most_frequent_stay() -> None:
    rare = [row for i in range(MAX_VALUES + 50) for row in commands(f"罕{i}", f"见{i}")]
    values = learn_values([*rare, *commands("体验", "体面", times=2)])["song"]
    assert len(values) == MAX_VALUES and values["体验"] == "体面"
    assert list(values) == sorted(values)


def answer(intent: str, *slots: Slot) -> Answer:
    column = INTENTS.index(intent)
    spans = [{"slot": k, "text": "", "value": v, "start": s, "end": e, "score": 1.0} for s, e, k, v in slots]
    return Answer({"intent": f"to {intent}", "score": 0.9, "slots": spans}, {"LABEL_ID": column, "SCORE": 0.9})


SONG, SINGER = (0, 2, "song", "花心"), (2, 5, "singer", "周华健")
CASES: list[tuple[Example, Answer | str]] = [
    (example("花心周华健", "play", SONG, SINGER), answer("play", SONG, SINGER)),  # all right
    (example("花心周华健", "play", SONG), answer("play", (0, 2, "song", "华心"))),  # but the value
    (example("花心周华健", "play", SONG), answer("call", SONG)),  # but the intent
    (example("花心周华健", "play", SONG, SINGER), answer("play", SONG)),  # one slot missed
    (example("花心周华健", "play", SONG), answer("play", (0, 2, "singer", "花心"))),  # another type
    (example("花心周华健", "play", SONG), answer("play", (0, 3, "song", "花心"))),  # another end
    (example("今天", "OTHERS"), answer("OTHERS")),  # all right
    (example("", "OTHERS"), "the text is empty"),
]


def test_score() -> None:
    """8 utterances: exact 1, 2, 7; their values too 1, 7; intents 1, 2, 4, 5, 6, 7.

    Slots: 8 labelled, 7 answered, 5 right (songs 4 of 5 answered and 6 labelled, singers 1 of 2 and 2).
    """
    metrics = KIND.score([e for e, _ in CASES], [a for _, a in CASES], MANIFEST)
    assert KIND.main_metric == "exact"
    assert metrics == pytest.approx(
        {
            "exact": 100 * 3 / 8,
            "exact_value": 100 * 2 / 8,
            "accuracy": 100 * 6 / 8,
            "precision": 100 * 5 / 7,
            "recall": 100 * 5 / 8,
            "f1": 100 * 2 * 5 / (7 + 8),
            "song_precision": 100 * 4 / 5,
            "song_recall": 100 * 4 / 6,
            "song_f1": 100 * 2 * 4 / (5 + 6),
            "singer_precision": 50,
            "singer_recall": 50,
            "singer_f1": 50,
        },
        abs=1e-3,
    )
    assert KIND.score([], [], MANIFEST)["exact"] == 0


def test_wrong() -> None:
    rows = [KIND.wrong(e, a, MANIFEST) for e, a in CASES]
    assert [row is None for row in rows] == [True, True, False, False, False, False, True, False]
    assert rows[2] == {"text": "花心周华健", "expected": "play", "predicted": "call", "score": 0.9}
    singer = {"slot": "singer", "text": "周华健", "value": "周华健", "start": 2, "end": 5}
    assert rows[3] == {"text": "花心周华健", "missed": [singer], "invented": []}
    assert rows[5] is not None and [len(rows[5][part]) for part in ("missed", "invented")] == [1, 1]
    assert rows[7] == {"text": "", "error": "the text is empty"}


def test_the_layer(base_model: Path) -> None:
    """Two heads; the loss is the sum of both; padding teaches nothing."""
    paddle = import_paddle()
    base = read_checkpoint(base_model)
    model = build_model(KIND, base, MANIFEST, seed=3)
    assert {n: list(v.shape) for n, v in weights_of(model).items() if not n.startswith("ernie.")} == {
        "intent_classifier.weight": [32, 3],
        "intent_classifier.bias": [3],
        "slot_classifier.weight": [32, 5],
        "slot_classifier.bias": [5],
    }
    model.eval()
    ids = paddle.to_tensor(np.array([[1, 20, 21, 2, 0], [1, 22, 23, 24, 2]]))
    outputs = KIND.outputs(model(ids, token_type_ids=paddle.zeros_like(ids)))
    assert list(outputs) == ["intent_logits", "slot_logits"]
    intents, slots = (outputs[name].numpy() for name in outputs)
    assert (intents.shape, slots.shape) == ((2, 3), (2, 5, 5))
    tags = np.array([[IGNORED, 1, 2, IGNORED, IGNORED], [IGNORED, 0, 3, 4, IGNORED]])
    targets = {"intent": paddle.to_tensor(np.array([2, 0])), "tags": paddle.to_tensor(tags)}

    def entropy(logits: np.ndarray, column: int) -> float:
        return float(np.log(np.exp(logits).sum()) - logits[column])

    tokens = [(0, 1), (0, 2), (1, 1), (1, 2), (1, 3)]
    expected = np.mean([entropy(intents[0], 2), entropy(intents[1], 0)]) + np.mean(
        [entropy(slots[place], tags[place]) for place in tokens]
    )
    assert float(KIND.loss(outputs, targets)) == pytest.approx(expected, rel=1e-5)


SPOKEN = """
[tasks.spoken]
kind = "intent_slots"
labels = ["OTHERS", "play", "call"]
examples = ["的一不是"]
[tasks.spoken.options]
slots = ["song", "number"]
[tasks.spoken.limits]
max_length = 12
doc_stride = 6
[tasks.spoken.data]
format = "nlpcc_slu"
folder = "spoken"
train = "corpus.txt"
fields = { dev_percent = "20" }
[tasks.spoken.train]
epochs = 6
batch_size = 16
learning_rate = 5e-3
dropout = 0.0
"""


def spoken_rows(characters: list[str], sessions: int) -> str:
    """Two certain characters begin a song of two or three, one is followed by a number; a song is corrected.

    Some utterances are longer than a window.
    """
    generator = np.random.default_rng(4)
    play, call, names, filler = characters[0], characters[1], characters[2:8], characters[12:]
    lines = []
    for session in range(sessions):
        for _ in range(4):
            prefix = "".join(generator.choice(filler, int(generator.integers(0, 14))))
            intent = int(generator.choice(3, p=[0.4, 0.3, 0.3]))
            song = "".join(generator.choice(names, 2))
            if song[0] == names[0]:
                song += f"||{filler[0]}{song[1]}"
            slot = ["", f"{play}<song>{song}</song>", f"{call}<number>{generator.integers(10**6, 10**7)}</number>"][
                intent
            ]
            tagged = f"{prefix}{slot}" or filler[0]
            text = prefix + (slot.replace("<song>", "").replace("</song>", "").partition("||")[0])
            text = text.replace("<number>", "").replace("</number>", "") or filler[0]
            lines.append(f"s{session}\t{text}\t{('OTHERS', 'play', 'call')[intent]}\t{tagged}")
        lines.append("")
    return "\n".join(lines)


def test_a_tiny_model_learns_spoken_commands(place: Place, tmp_path: Path, characters: list[str]) -> None:
    """From the corpus to the repository, beating the majority; what was learnt from data is served."""
    folder = tmp_path / "data" / "spoken"
    folder.mkdir(parents=True)
    (folder / "corpus.txt").write_text(spoken_rows(characters, 100), encoding="utf-8")
    (tmp_path / "tasks.toml").write_text(SPOKEN, encoding="utf-8")
    own_place = replace(place, tasks_file=tmp_path / "tasks.toml", data_dir=tmp_path / "data")
    assert own_place.build(task="spoken") == 0
    figures = own_place.figures("data", "spoken")
    assert figures["train"]["rows"] + figures["dev"]["rows"] == 400 and 40 <= figures["dev"]["rows"] <= 120
    assert figures["dev"]["over_one_window_percent"] > 10
    pipeline = Pipeline.load(own_place.output, "spoken")
    (evaluation,) = pipeline.manifest.variants[0].evaluations
    assert evaluation.metrics["exact"] > 60 and evaluation.metrics["accuracy"] > 70  # the majority: 40
    assert evaluation.metrics["number_f1"] > 80 and evaluation.metrics["exact"] >= evaluation.metrics["exact_value"]
    names, filler = characters[2:8], characters[12:]
    values = pipeline.manifest.options["values"]["song"]
    assert values and all(k[0] == names[0] and v == filler[0] + k[1] for k, v in values.items())
    assert pipeline.manifest.options["slots"] == ["song", "number"]
    assert pipeline.manifest.options["slots_of"] == {"OTHERS": [], "play": ["song"], "call": ["number"]}
    text = characters[1] + "18866668888"
    (prediction,) = pipeline.predict([(text,)])
    assert isinstance(prediction, Answer)
    assert [(s["slot"], s["text"], s["start"], s["end"]) for s in prediction.result["slots"]] == [
        ("number", "18866668888", 1, 12)
    ]
    assert prediction.result["intent"] == "call"
