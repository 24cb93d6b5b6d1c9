"""Label Studio's JSON export: a task of its array as a row, as its export JSON_MIN has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ernie_runtime.json_types import Json, JsonObject

from ...errors import DataError
from .report import Report

SPANS = "labels"  # type of a result with labelled spans
CHOSEN = {"choices": "choices", "taxonomy": "taxonomy", "rating": "rating", "number": "number"}


def flatten(path: Path, line: int, value: JsonObject, report: Report) -> Iterator[tuple[int, JsonObject]]:
    """A row of JSON as it is; a task of Label Studio as a row of its data and of its first annotation's results.

    Spans are under the name of their control (`from_name`), as [{"start", "end", "text", "labels"}], offsets as they
    are; choices and paths of a taxonomy as lists of names. Tasks without an annotation are left out.
    """
    if not is_task(value):
        yield line, value
        return
    data, annotations = value["data"], value["annotations" if "annotations" in value else "completions"]
    done = [item for item in annotations if isinstance(item, dict) and not _is_dropped(item)]
    if not done:
        report.add("tasks without an annotation, left out", line)
        return
    if len(done) > 1:
        report.add("tasks with several annotations, of which the first is taken", line)
    row, results = dict(data), done[0].get("result")
    if not isinstance(results, list):
        raise DataError(f"{path}:{line}: Label Studio: an annotation without the list 'result'")
    for result in results:
        name, content = result.get("from_name"), result.get("value")
        if not isinstance(content, dict) or not isinstance(name, str):
            continue  # a relation between spans
        kind = result.get("type", "")
        if kind == SPANS or SPANS in content:
            row[name] = [*_spans(row.get(name)), content]
        elif kind in CHOSEN and CHOSEN[kind] in content:
            chosen = content[CHOSEN[kind]]
            row[name] = ["##".join(item) if isinstance(item, list) else item for item in chosen] if isinstance(
                chosen, list
            ) else chosen  # fmt: skip
    yield line, row


def is_task(value: Json) -> bool:
    """Whether an object is a task of Label Studio's."""
    annotations = value.get("annotations", value.get("completions"))
    return isinstance(value.get("data"), dict) and isinstance(annotations, list)


def _is_dropped(annotation: Json) -> bool:
    return bool(annotation.get("was_cancelled") or annotation.get("skipped"))


def _spans(value: object) -> list[object]:
    return value if isinstance(value, list) else []
