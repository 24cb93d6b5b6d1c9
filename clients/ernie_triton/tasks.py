"""The tasks that a server offers, read from the configurations of its ensembles."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ernie_runtime.json_types import JsonObject
from ernie_runtime.names import variant_ensemble

from .errors import ServerError, UnknownTask
from .items import Item, Row, encode_item


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """A ready ensemble, from its configuration."""

    name: str
    inputs: tuple[str, ...]
    max_batch_size: int
    manifest: str  # JSON
    variant: str
    numeric: tuple[str, ...] = ()  # outputs besides RESULT


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task of a server: the Triton model `name` answers, and `name_variant` for each variant."""

    name: str
    kind: str  # the task kind, which decides the class of its results
    title: str
    labels: tuple[str, ...]  # tags such as B-PER for entity tasks
    inputs: tuple[str, ...]  # names of the BYTES inputs; more than one where an item is a tuple
    variant: str  # the recommended one, used when the caller names none
    variants: tuple[str, ...]
    version: int
    metrics: Mapping[str, float] = field(default_factory=dict)  # of the recommended variant, in percent
    main_metric: str = ""
    evaluated_on: str = ""  # what `metrics` were measured on
    max_batch_size: int = 1  # the maximum of texts in a request
    examples: tuple[tuple[str, ...], ...] = ()  # items to try the task with, one text per input
    build: str = ""  # hash of everything that the task was built from
    numeric: tuple[str, ...] = ()  # names of the outputs besides RESULT
    dimension: int = 0  # of its vectors; 0 for a task without
    prefixes: Mapping[str, str] = field(default_factory=dict)  # that texts may begin with, such as query and passage

    def with_prefix(self, name: str | None) -> Callable[[Item], Item]:
        """Puts the prefix of this name before the texts of an item; None: none. UnknownTask where there is no such one.

        A text that begins with one of the prefixes stays as it is.
        """
        if name is None:
            return lambda item: item
        if name not in self.prefixes:
            raise UnknownTask(f"task {self.name} has no prefix", name, tuple(self.prefixes))
        prefix, known = self.prefixes[name], tuple(self.prefixes.values())

        def put(text: Any) -> Any:  # what is no text is refused when it is encoded
            return prefix + text if isinstance(text, str) and not text.startswith(known) else text

        def put_before_each(item: Item) -> Item:
            if isinstance(item, Mapping):
                return {key: put(part) for key, part in item.items()}
            return tuple(map(put, item)) if isinstance(item, tuple | list) else put(item)

        return put_before_each

    def model(self, variant: str | None = None) -> str:
        """The Triton model that answers; UnknownTask where there is no such variant."""
        if variant is None or variant == self.variant:
            return self.name
        if variant not in self.variants:
            raise UnknownTask(f"task {self.name} has no variant", variant, self.variants)
        return variant_ensemble(self.name, variant)


def group_tasks(ensembles: Iterable[Ensemble], all_variants: bool = False) -> list[Task]:
    """The tasks among ready ensembles, sorted by name; a task counts as ready when the ensemble of its own name is.

    all_variants: a task has all variants of its manifest, not only those with a ready ensemble.
    """
    by_name = {ensemble.name: ensemble for ensemble in ensembles}
    served = None if all_variants else set(by_name)
    tasks = (_task(ensemble, served) for _, ensemble in sorted(by_name.items()))
    return [task for task in tasks if task is not None]


def by_title(tasks: Iterable[Task], title: str) -> Task | None:
    """The one task of this title, ignoring case: Triton's names are ASCII, a title may be Chinese. None if not one."""
    matches = [task for task in tasks if task.title.casefold() == title.casefold()]
    return matches[0] if len(matches) == 1 else None


def names_for(tasks: Iterable[Task], name: str) -> list[str]:
    """The names that exist, for a person who asked for `name`: with their titles if it is not ASCII, as titles are."""
    return sorted(task.name if name.isascii() else f"{task.name} ({task.title})" for task in tasks)


def example_row(task: Task) -> Row | None:
    """The task's first example, which it can surely answer; None where it has none."""
    row = encode_item(task.examples[0], task.inputs) if task.examples else None
    return row if isinstance(row, tuple) else None


def _task(ensemble: Ensemble, served: Collection[str] | None) -> Task | None:
    try:
        manifest: JsonObject = json.loads(ensemble.manifest)
        name = manifest["task"]
        if name != ensemble.name:
            return None
        variants = {variant["name"]: variant for variant in manifest["variants"]}
        evaluations = variants.get(ensemble.variant, {}).get("evaluations", [])
        own_splits = [e for e in evaluations if e["split"] in ("dev", "sample")] or evaluations
        best = max(own_splits, key=lambda e: e["rows"], default=None)  # never a transfer set, however large
        return Task(
            name=name,
            kind=manifest["kind"],
            title=manifest["title"],
            labels=tuple(label["name"] for label in manifest["labels"]),
            inputs=ensemble.inputs,
            variant=ensemble.variant,
            variants=tuple(
                v for v in variants if v == ensemble.variant or served is None or variant_ensemble(name, v) in served
            ),
            version=manifest["version"],
            metrics=best["metrics"] if best else {},
            main_metric=manifest["main_metric"],
            evaluated_on=f"{best['split']}, {best['rows']:,} rows" if best else "",
            max_batch_size=ensemble.max_batch_size,
            build=str(manifest.get("made_by", {}).get("build", "")),
            examples=tuple(tuple(texts) for texts in manifest.get("examples", ())),
            numeric=ensemble.numeric,
            dimension=int(manifest.get("options", {}).get("dimension", 0)),
            prefixes=dict(manifest.get("options", {}).get("prefixes", {})),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ServerError(
            f"the manifest of model {ensemble.name} cannot be read ({error!r}): publish it again"
        ) from None
