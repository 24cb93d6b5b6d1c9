"""Answers as HTML for notebooks: spans marked in their text, scores as bars, label trees as lists.

As in `formatting`, the keys of RESULT decide the form, not the task's kind. All that comes from texts or from the
server is escaped; styles are inline, and colours readable on light and dark ground.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

Raw = Mapping[str, Any]

SHOWN = 50  # the maximum of answers that are shown together
BARS = 5  # the maximum of bars in an answer
_MISFIT = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What a form raises for a RESULT that has its keys, but another shape."""


def result_html(raw: Raw, sent: Sequence[str] = (), vector: str = "") -> str:
    """An answer and, where they are known, the texts that it answers. vector: how to show one, if it has one."""
    if vector:
        return _box(_quoted(sent), _muted(escape(vector)))
    for keys, form in _FORMS:
        if keys <= raw.keys():
            try:
                return _box(*form(raw, sent), _length(raw))
            except _MISFIT:
                break
    return _box(f"<code>{escape(json.dumps(raw, ensure_ascii=False, default=str))}</code>")


def error_html(reason: str) -> str:
    """The reason why a text has no answer."""
    return _box(f'<span style="color:#c0392b">{escape(reason)}</span>')


def list_html(answers: Iterable[str], count: int) -> str:
    """The first of `count` answers, one below the other."""
    shown = [html for html, _ in zip(answers, range(SHOWN), strict=False)]
    more = _muted(f"and {count - len(shown):,} more") if count > len(shown) else ""
    return "".join(shown) + more


def marked(text: str, spans: Sequence[Raw], name: str = "label", utf16: bool = False) -> str:
    """The text with its spans marked and named, escaped; of two that overlap, only the first."""
    units = text.encode("utf-16-le", "surrogatepass") if utf16 else text
    width = 2 if utf16 else 1  # of a position, in `units`

    def cut(start: int, end: int | None) -> str:
        part = units[start * width : None if end is None else end * width]
        return escape(part if isinstance(part, str) else part.decode("utf-16-le", "replace"))

    parts, last = [], 0
    for span in sorted(spans, key=lambda span: (span["start"], -span["end"])):
        start, end = span["start"], span["end"]
        if start >= last:
            parts += [cut(last, start), _mark(cut(start, end), span, name)]
            last = end
    return "".join([*parts, cut(last, None)])


def _mark(text: str, span: Raw, name: str) -> str:
    label = str(span.get(name, ""))
    value = span.get("value")
    title = f"{label} {span['score']:.2f}" + (f" = {value}" if value not in (None, span.get("text")) else "")
    tag = f'<small style="opacity:.7;margin-left:.3em">{escape(label)}</small>' if label else ""
    style = f"background:{_colour(label)};border-radius:3px;padding:0 .2em"
    return f'<span style="{style}" title="{escape(title.strip())}">{text}{tag}</span>'


def _colour(label: str) -> str:
    return f"hsla({zlib.crc32(label.encode()) % 360},70%,55%,.3)"


def _bars(rows: Iterable[tuple[str, float]]) -> str:
    lines = []
    for name, score in rows:
        width = 100 * min(max(score, 0), 1)
        bar = f'<div style="background:hsla(210,70%,55%,.5);height:.7em;width:{width:.1f}%"></div>'
        lines.append(
            f'<tr><td style="text-align:left">{escape(name)}</td><td style="text-align:right">{score:.2f}</td>'
            f'<td style="width:10em">{bar}</td></tr>'
        )
    return f'<table style="margin:0">{"".join(lines)}</table>'


def _entities(raw: Raw, sent: Sequence[str]) -> Iterator[str]:
    yield _spans(raw["entities"], raw, sent)


def _intent(raw: Raw, sent: Sequence[str]) -> Iterator[str]:
    yield _bars([(raw["intent"], raw["score"])])
    yield _spans(raw["slots"], raw, sent, "slot")


def _spans(spans: Sequence[Raw], raw: Raw, sent: Sequence[str], name: str = "label") -> str:
    if sent:
        return marked(sent[0], spans, name, raw.get("unit") == "utf16")
    return _bars((f"{span[name]}: {span['text']}", span["score"]) for span in spans)


def _answers(raw: Raw, sent: Sequence[str]) -> Iterator[str]:
    answers = raw["answers"]
    if len(sent) == 2:
        yield f"<b>{escape(sent[0])}</b>"
        yield marked(sent[1], answers[:1], utf16=raw.get("unit") == "utf16")
    yield _bars([*((a["text"], a["score"]) for a in answers[:BARS]), ("no answer", raw["no_answer_score"])])


def _hierarchy(raw: Raw, sent: Sequence[str]) -> Iterator[str]:
    tree: dict[str, Any] = {}
    for path in raw["paths"]:
        branch = tree
        for label in path:
            branch = branch.setdefault(label, {})
    scores = {label["label"]: label["score"] for label in raw["labels"]}
    yield _quoted(sent)
    yield _tree(tree, scores, ()) or _muted("no label")


def _tree(branch: Mapping[str, Any], scores: Mapping[str, float], above: tuple[str, ...]) -> str:
    items = []
    for label, below in branch.items():
        path = (*above, label)
        score = f" {_muted(format(scores['##'.join(path)], '.2f'))}"
        items.append(f"<li>{escape(label)}{score}{_tree(below, scores, path)}</li>")
    return f'<ul style="margin:0">{"".join(items)}</ul>' if items else ""


def _masks(raw: Raw, sent: Sequence[str]) -> Iterator[str]:
    if sent:
        filled = [
            {"start": start, "end": end, "label": mask[0]["token"], "score": mask[0]["score"]}
            for (start, end), mask in zip(raw["positions"], raw["masks"], strict=True)
            if mask
        ]
        yield marked(sent[0], filled, utf16=raw.get("unit") == "utf16")
    for mask in raw["masks"]:
        yield _bars((token["token"], token["score"]) for token in mask[:BARS])


def _ranking(raw: Raw, sent: Sequence[str]) -> Iterator[str]:
    yield _quoted(sent[:1])
    ranked = (
        (f"{place}. {candidate['text']}", candidate["score"]) for place, candidate in enumerate(raw["ranking"], 1)
    )
    yield _bars(ranked)


def _label(raw: Raw, sent: Sequence[str]) -> Iterator[str]:
    yield _quoted(sent)
    yield _bars((label["label"], label["score"]) for label in (raw.get("top") or [raw])[:BARS])


def _score(raw: Raw, sent: Sequence[str]) -> Iterator[str]:
    yield _quoted(sent)
    yield _bars([("similarity", raw["score"])])


_FORMS: tuple[tuple[set[str], Callable[[Raw, Sequence[str]], Iterator[str]]], ...] = (
    ({"entities"}, _entities),
    ({"answers"}, _answers),
    ({"intent", "slots"}, _intent),
    ({"labels", "paths"}, _hierarchy),
    ({"masks", "positions"}, _masks),
    ({"ranking"}, _ranking),
    ({"label", "score"}, _label),
    ({"score"}, _score),
)
"""Keys of RESULT and their form; the first match is used."""


def _length(raw: Raw) -> str:
    return _muted("the end of the text was not read") if raw.get("truncated") else ""


def _quoted(sent: Sequence[str]) -> str:
    return "<br>".join(map(escape, sent))


def _muted(text: str) -> str:
    return f'<small style="opacity:.7">{text}</small>'


def _box(*parts: str) -> str:
    inner = "".join(f"<div>{part}</div>" for part in parts if part)
    return f'<div style="margin:.4em 0;line-height:1.7">{inner}</div>'
