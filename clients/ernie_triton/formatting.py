"""Formats answers and tasks as lines for a person.

The keys of RESULT decide the form of an answer, not the task's kind: a new kind needs nothing here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .columns import clip, pad, table, visible, width
from .items import Item, item_parts
from .tasks import Task
from .text_result import Raw

if TYPE_CHECKING:
    import numpy as np

TOP = 3  # the maximum of best answers that are shown together
PART = 50  # columns for each part of an item that has several
NUMBERS = 4  # the maximum of an array's numbers that are shown
_MISFIT = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What a form raises for a RESULT that has its keys, but another shape."""


class HasRaw(Protocol):
    """Any result of this package."""

    @property
    def raw(self) -> Raw:
        """The RESULT object."""


@dataclass(frozen=True)
class AskedItem:
    """An item as it was asked: one text per input; verbose: show more than the best answer.

    one_line: nothing that takes lines of its own.
    """

    parts: tuple[str, ...]
    labels: Sequence[str]
    verbose: bool
    one_line: bool = False

    @property
    def shown(self) -> str:
        """The item on one line."""
        if len(self.parts) == 1:
            return visible(self.parts[0])
        return "  |  ".join(clip(visible(part), PART) for part in self.parts)


def result_lines(item: Item, result: HasRaw, task: Task, verbose: bool = False, one_line: bool = False) -> list[str]:
    """Lines for the answer to an item; RESULT as JSON where its form is unknown.

    one_line: spans only as they stand in the text, without the table of them.
    """
    raw = result.raw
    asked = AskedItem(_parts(item, task), task.labels, verbose, one_line)
    for keys, form in _FORMS:
        if keys <= raw.keys():
            try:
                return form(asked, raw) + _length_lines(raw, verbose)
            except _MISFIT:
                break
    return [visible(json.dumps(raw, ensure_ascii=False))]


def _parts(item: Item, task: Task) -> tuple[str, ...]:
    if isinstance(item, str):
        return (item,)
    parts = item_parts(item, task.inputs) if isinstance(item, Mapping) else item
    return tuple(part if isinstance(part, str) else json.dumps(part, ensure_ascii=False) for part in parts)


def numeric_lines(numeric: Mapping[str, np.ndarray]) -> list[str]:
    """Lines such as `    EMBEDDING  [0.0123, -0.42, 1, 0.3, ...] 312 numbers`."""
    lines = []
    for name, values in numeric.items():
        flat = values.reshape(-1)
        first = ", ".join(f"{value:.6g}" for value in flat[:NUMBERS].tolist())
        lines.append(f"    {name}  " + (first if flat.size == 1 else f"[{first}, ...] {flat.size} numbers"))
    return lines


def inline(text: str, spans: Sequence[Raw], name: str = "label") -> str:
    """The text with its spans marked, as in `[王小明 PER]在北京`; of two that overlap, only the first.

    A span shows its `value` where that is not its text: `[周董=周杰伦 singer]`.
    """
    parts: list[str] = []
    last = 0
    for span in sorted(spans, key=lambda span: (span["start"], -span["end"])):
        start, end = span["start"], span["end"]
        if start < last:
            continue
        value = span.get("value")
        normal_form = f"={visible(value)}" if isinstance(value, str) and value != text[start:end] else ""
        parts += [visible(text[last:start]), f"[{visible(text[start:end])}{normal_form} {span[name]}]"]
        last = end
    return "".join([*parts, visible(text[last:])])


def _scored(answers: Sequence[Raw], name: str) -> str:
    return "  ".join(f"{visible(answer[name])} {answer['score']:.2f}" for answer in answers)


def _entities(asked: AskedItem, raw: Raw) -> list[str]:
    if asked.one_line:
        return [inline(asked.parts[0], raw["entities"])]
    rows = [
        (str(span["start"]), str(span["end"]), span["label"], visible(span["text"]), f"{span['score']:.2f}")
        for span in raw["entities"]
    ]
    lines = [inline(asked.parts[0], raw["entities"])]
    return lines + (table([("start", "end", "label", "text", "score"), *rows], "    ") if rows else [])


def _answers(asked: AskedItem, raw: Raw) -> list[str]:
    answers, no_answer = raw["answers"], raw.get("no_answer_score")
    if not answers:
        return ["no answer" + ("" if no_answer is None else f"  {no_answer:.2f}") + f"  {asked.shown}"]
    best = answers[0]
    lines = [f"{visible(best['text'])}  {best['score']:.2f}  {best['start']}-{best['end']}  {asked.shown}"]
    if asked.verbose:
        others = _scored(answers[1 : 1 + TOP], "text") or "no other answer"
        lines.append(f"    {others}" + ("" if no_answer is None else f"  (no answer {no_answer:.2f})"))
    return lines


def _intent(asked: AskedItem, raw: Raw) -> list[str]:
    column = max(map(width, [*asked.labels, raw["intent"]]))
    marked = inline(asked.parts[0], raw["slots"], "slot")
    return [f"{pad(raw['intent'], column)}  {raw['score']:.2f}  {marked}"]


def _hierarchy(asked: AskedItem, raw: Raw) -> list[str]:
    scores = {label["label"]: label["score"] for label in raw["labels"]}
    paths = [f"{' > '.join(path)} {scores['##'.join(path)]:.2f}" for path in raw["paths"]]
    return [f"{'; '.join(paths) or 'no label'}  {asked.shown}"]


def _masks(asked: AskedItem, raw: Raw) -> list[str]:
    return [f"{' | '.join(_scored(mask[:TOP], 'token') for mask in raw['masks'])}  {asked.shown}"]


def _ranking(asked: AskedItem, raw: Raw) -> list[str]:
    ranked = [f"{place}. {_scored([candidate], 'text')}" for place, candidate in enumerate(raw["ranking"], 1)]
    return [f"{'  '.join(ranked)}  ({clip(visible(asked.parts[0]), PART)})"]


def _label(asked: AskedItem, raw: Raw) -> list[str]:
    column = max(map(width, [*asked.labels, raw["label"]]))
    lines = [f"{pad(raw['label'], column)}  {raw['score']:.2f}  {asked.shown}"]
    return [*lines, f"    {_scored(raw['top'][:TOP], 'label')}"] if asked.verbose and "top" in raw else lines


def _score(asked: AskedItem, raw: Raw) -> list[str]:
    return [f"{raw['score']:.4f}  {asked.shown}"]


_FORMS: tuple[tuple[set[str], Callable[[AskedItem, Raw], list[str]]], ...] = (
    ({"entities"}, _entities),
    ({"answers"}, _answers),
    ({"intent", "slots"}, _intent),
    ({"labels", "paths"}, _hierarchy),
    ({"masks"}, _masks),
    ({"ranking"}, _ranking),
    ({"label", "score"}, _label),
    ({"score"}, _score),
)
"""Keys of RESULT and their form; the first match is used."""


def _length_lines(raw: Raw, verbose: bool) -> list[str]:
    """How the text was read: with `verbose`, and where its end was cut off."""
    if "tokens" not in raw or not (verbose or raw.get("truncated")):
        return []
    windows = raw.get("windows", 1)
    cut = ", its end was not read" if raw.get("truncated") else ""
    return [f"    {raw['tokens']:,} tokens in {windows} window{'s' * (windows != 1)}{cut}"]


def task_lines(tasks: Sequence[Task]) -> list[str]:
    """A table of tasks; among several variants the recommended one has a star."""
    rows = [
        (
            task.name,
            task.kind,
            str(task.version),
            _variants(task),
            _quality(task),
            task.title,
        )
        for task in tasks
    ]
    return table([("task", "kind", "version", "variants", "quality", "title"), *rows])


def _variants(task: Task) -> str:
    return ",".join(v + "*" * (v == task.variant and len(task.variants) > 1) for v in task.variants)


def _quality(task: Task) -> str:
    if task.main_metric not in task.metrics:
        return "not measured"
    return f"{task.main_metric} {task.metrics[task.main_metric]:.2f} ({task.evaluated_on})"
