"""Ask a staged repository through the real server, and compare the answers with the same models in this process."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ernie_runtime.json_types import Json
from ernie_runtime.kinds import Answer, get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.names import ANSWERS_FILE, RESULT, variant_ensemble
from ernie_runtime.results import same_answer
from ernie_runtime.steps.pipeline import Pipeline

from ..compression.gate import Verdict
from ..console import bar
from ..errors import PublishError

if TYPE_CHECKING:
    pass

MAX_TEXTS = 500  # that are asked
REQUEST_TEXTS = 32  # texts in one request
SCORE_TOLERANCE = 2e-3  # absolute: other batches mean sums in another order
DYNAMIC = ("dynamic8",)  # precisions with ranges of each call: an answer depends on the other texts in it
DYNAMIC_SCORE_TOLERANCE = 0.1
DYNAMIC_MAY_DIFFER = 0.01  # share of the texts

Items = Sequence[tuple[str, ...]]


def check_served(staged: Path, manifest: Manifest, items: Items) -> dict[str, Verdict]:
    """Variant -> whether the server answers as the pipeline does. PublishError if the server does not start."""
    from ernie_serve import ServeError, ServerOptions, TritonServer

    options = ServerOptions(
        repository=staged, http_port=0, grpc_port=0, metrics_port=0, log_file=staged.with_name(f"{staged.name}.log")
    )
    try:
        with ExitStack() as stack:
            server = stack.enter_context(TritonServer(options))
            verdicts = {}
            for variant in manifest.variants:
                offline = Pipeline.load(staged, manifest.task, variant.name).predict(items)
                with bar(len(items), f"ask {variant.name}") as shown:
                    served = ask_server(
                        server.grpc_address,
                        variant_ensemble(manifest.task, variant.name),
                        manifest,
                        items,
                        shown.update,
                    )
                verdicts[variant.name] = compare_answers(
                    [answer if isinstance(answer, str) else answer.result for answer in offline],
                    served,
                    dynamic=variant.made.get("precision") in DYNAMIC,
                )
            return verdicts
    except ServeError as error:
        raise PublishError(f"task {manifest.task}: the staged models cannot be served ({error})") from None


def reload_hint(repository: Path, task: str) -> str:
    """How a running server takes over what was published just now; empty where none serves the repository."""
    from ernie_serve import control

    place = str(repository.resolve())
    if all(served != place for served in control.servers().values()):
        return ""
    return f"a running server serves what it had until: ernie-triton reload {task} --repository {shlex.quote(place)}"


def record_answers(staged: Path, manifest: Manifest, items: Items) -> None:
    """Write into the version of every ensemble what the pipeline answers to some texts.

    A server that replaces a version while it runs asks the new one for them first (ernie_serve/updates.py).
    """
    for variant in manifest.variants:
        answers = Pipeline.load(staged, manifest.task, variant.name).predict(items)
        pairs = [(texts, a.result) for texts, a in zip(items, answers, strict=True) if not isinstance(a, str)]
        dynamic = variant.made.get("precision") in DYNAMIC
        recorded = {
            "tolerance": DYNAMIC_SCORE_TOLERANCE if dynamic else SCORE_TOLERANCE,
            "may_differ": 1 if dynamic else 0,
            "items": [{"texts": texts, "result": result} for texts, result in pairs],
        }
        text = json.dumps(recorded, ensure_ascii=False) + "\n"
        names = [variant_ensemble(manifest.task, variant.name)]
        for name in [*names, manifest.task] if variant.name == manifest.recommended else names:
            (staged / name / str(manifest.version) / ANSWERS_FILE).write_text(text, encoding="utf-8")


def ask_server(
    address: str, model: str, manifest: Manifest, items: Items, progress: Callable[[int], object] | None = None
) -> list[Any]:
    """RESULT of every item, in order; the error message for the items of a refused request.

    address: the server's gRPC address. progress: called with the number of texts after each request.
    """
    answers = ask_answers(address, model, manifest, items, progress)
    return [answer if isinstance(answer, str) else answer.result for answer in answers]


def ask_answers(
    address: str, model: str, manifest: Manifest, items: Items, progress: Callable[[int], object] | None = None
) -> list[Answer | str]:
    """As `ask_server`, with the numeric outputs beside RESULT."""
    import tritonclient.grpc as triton

    kind = get_kind(manifest.kind)
    names = [spec.name for spec in kind.inputs]
    numeric = [spec.name for spec in kind.numeric_outputs(manifest)]
    answers: list[Answer | str] = []
    with triton.InferenceServerClient(address) as client:
        for start in range(0, len(items), REQUEST_TEXTS):
            batch = items[start : start + REQUEST_TEXTS]
            inputs = []
            for i, name in enumerate(names):
                tensor = triton.InferInput(name, [len(batch), 1], "BYTES")
                tensor.set_data_from_numpy(np.array([[item[i].encode()] for item in batch], dtype=object))
                inputs.append(tensor)
            try:
                reply = client.infer(model, inputs)
                outputs = {name: reply.as_numpy(name) for name in numeric}
                for number, row in enumerate(reply.as_numpy(RESULT).reshape(-1)):
                    values = {name: array[number] for name, array in outputs.items()}
                    answers.append(Answer(json.loads(row), {n: v[0] if v.size == 1 else v for n, v in values.items()}))
            except triton.InferenceServerException as error:
                answers += [str(error)] * len(batch)
            if progress is not None:
                progress(len(batch))
    return answers


def compare_answers(offline: Sequence[Any], served: Sequence[Any], dynamic: bool = False) -> Verdict:
    """Whether the answers are equal but for small differences of scores; dynamic: the precision is in DYNAMIC."""
    tolerance, may_differ = (DYNAMIC_SCORE_TOLERANCE, DYNAMIC_MAY_DIFFER) if dynamic else (SCORE_TOLERANCE, 0.0)
    different = [
        i
        for i, (ours, theirs) in enumerate(zip(offline, served, strict=True))
        if not same_answer(ours, theirs, tolerance)
    ]
    figures: Json = {"served_texts": len(offline), "served_different": len(different)}
    if len(different) > may_differ * len(offline):
        first = different[0]
        return Verdict(
            reason=f"the server answers {len(different)} of {len(offline)} texts otherwise than the offline evaluation"
            f"; the first is text {first + 1}: {_short(served[first])} where {_short(offline[first])} was expected",
            figures=figures,
        )
    return Verdict(figures=figures)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."
