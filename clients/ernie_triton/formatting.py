"""Answers and tasks as text for a terminal; Chinese characters count as two columns."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence

from .results import ClassificationResult, EntitiesResult, Entity, Result
from .tasks import Task

TOP = 3  # labels that the verbose form shows


def visible(text: str) -> str:
    """The text on one line and harmless to a terminal: control characters become escapes such as \\n."""
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text
    )


def width(text: str) -> int:
    """Columns that a terminal needs."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 1 + (unicodedata.east_asian_width(c) in ("W", "F"))
        for c in text
    )


def pad(text: str, columns: int) -> str:
    """The text and spaces behind it up to this many columns."""
    return text + " " * (columns - width(text))


def table(rows: Iterable[Sequence[str]], indent: str = "") -> list[str]:
    """Lines with aligned columns."""
    rows = list(rows)
    columns = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [(indent + "  ".join(pad(cell, w) for cell, w in zip(row, columns, strict=True))).rstrip() for row in rows]


def inline(text: str, entities: Sequence[Entity]) -> str:
    """The text with its entities marked: `[王小明 PER]在北京`; of two that overlap, the first."""
    parts: list[str] = []
    last = 0
    for entity in sorted(entities, key=lambda one: (one.start, -one.end)):
        if entity.start < last:
            continue
        parts += [
            visible(text[last : entity.start]),
            f"[{visible(text[entity.start : entity.end])} {entity.label}]",
        ]
        last = entity.end
    return "".join([*parts, visible(text[last:])])


def classification_lines(text: str, result: ClassificationResult, labels: Sequence[str], verbose: bool) -> list[str]:
    """`news_finance  0.93  the text`; verbose adds the best labels and how the text was read."""
    column = max(map(width, [*labels, result.label]))
    lines = [f"{pad(result.label, column)}  {result.score:.2f}  {visible(text)}"]
    if verbose:
        lines.append("    " + "  ".join(f"{one.label} {one.score:.2f}" for one in result.top[:TOP]))
    return lines + _reading(result, verbose)


def entity_lines(text: str, result: EntitiesResult, verbose: bool) -> list[str]:
    """The text with its entities marked, and a table of them; positions as in Python's slices."""
    lines = [inline(text, result.entities)]
    if result.entities:
        rows = [(str(e.start), str(e.end), e.label, visible(e.text), f"{e.score:.2f}") for e in result.entities]
        lines += table([("start", "end", "label", "text", "score"), *rows], "    ")
    return lines + _reading(result, verbose)


def result_lines(text: str, result: Result, task: Task, verbose: bool = False) -> list[str]:
    """Lines for the answer to a text; JSON for a kind that has no form of its own."""
    if isinstance(result, ClassificationResult):
        return classification_lines(text, result, task.labels, verbose)
    if isinstance(result, EntitiesResult):
        return entity_lines(text, result, verbose)
    return [json.dumps(result.raw, ensure_ascii=False)]


def task_lines(tasks: Sequence[Task]) -> list[str]:
    """A table of tasks; where there are several variants, the recommended one bears a star."""
    rows = [
        (
            task.name,
            task.kind,
            str(task.version),
            _variants(task),
            _figure(task),
            task.title,
        )
        for task in tasks
    ]
    return table([("task", "kind", "version", "variants", "quality", "title"), *rows])


def _variants(task: Task) -> str:
    return ",".join(v + "*" * (v == task.variant and len(task.variants) > 1) for v in task.variants)


def _figure(task: Task) -> str:
    if task.main_metric not in task.metrics:
        return "not measured"
    return f"{task.main_metric} {task.metrics[task.main_metric]:.2f} ({task.evaluated_on})"


def _reading(result: ClassificationResult | EntitiesResult, verbose: bool) -> list[str]:
    cut = ", its end was not read" if result.truncated else ""
    if not verbose and not cut:
        return []
    return [f"    {result.tokens:,} tokens in {result.windows} window{'s' * (result.windows != 1)}{cut}"]
