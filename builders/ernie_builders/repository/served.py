"""Ask a staged repository through the real server, and compare with the same models in this process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.names import variant_ensemble
from ernie_runtime.steps.pipeline import Pipeline

from ..compression.gate import Verdict
from ..console import bar
from ..errors import PublishError

TEXTS = 500
REQUEST = 32  # texts in one request
SCORE = 2e-3  # a score may differ by so much: batches, and with them sums, are cut in another way
# Ranges found anew in each call hang on the texts that happen to be in it.
BY_CALL, PART_BY_CALL, SCORE_BY_CALL = ("dynamic8",), 0.01, 0.1

Items = Sequence[tuple[str, ...]]


def check_served(staged: Path, manifest: Manifest, items: Items) -> dict[str, Verdict]:
    """Variant -> whether the server answers as the pipeline does. PublishError where the server does not start."""
    from ernie_serve import ServeError, ServerOptions

    options = ServerOptions(
        staged, http_port=0, grpc_port=0, metrics_port=0, log_file=staged.with_name(f"{staged.name}.log")
    )
    try:
        with ExitStack() as stack:
            server = _started(stack, options)
            verdicts = {}
            for variant in manifest.variants:
                offline = Pipeline.load(staged, manifest.task, variant.name).predict(items)
                with bar(len(items), f"ask {variant.name}") as shown:
                    served = ask(
                        server.grpc_address,
                        variant_ensemble(manifest.task, variant.name),
                        manifest,
                        items,
                        shown.update,
                    )
                verdicts[variant.name] = compare(
                    [a if isinstance(a, str) else a.result for a in offline],
                    served,
                    by_call=variant.made.get("precision") in BY_CALL,
                )
            return verdicts
    except ServeError as error:
        raise PublishError(f"task {manifest.task}: the staged models cannot be served ({error})") from None


def _started(stack: ExitStack, options: Any) -> Any:
    """A running server that ends with `stack`; a second try where it crashed while it loaded.

    On a busy machine Triton's Python backend now and then ends with boost's lock_exception when several models load at
    once (seen once in some hundred starts of tritonserver 2.51).
    """
    from ernie_serve import ServeError, TritonServer

    try:
        return stack.enter_context(TritonServer(options))
    except ServeError as error:
        if "crashed" not in str(error):
            raise
    return stack.enter_context(TritonServer(options))


def ask(address: str, model: str, manifest: Manifest, items: Items, progress: Any = None) -> list[Any]:
    """RESULT of every item, in order; a string where the request was refused."""
    import tritonclient.grpc as triton

    names = [spec.name for spec in get_kind(manifest.kind).inputs]
    answers: list[Any] = []
    with triton.InferenceServerClient(address) as client:
        for start in range(0, len(items), REQUEST):
            part = items[start : start + REQUEST]
            inputs = []
            for i, name in enumerate(names):
                tensor = triton.InferInput(name, [len(part), 1], "BYTES")
                tensor.set_data_from_numpy(np.array([[item[i].encode()] for item in part], dtype=object))
                inputs.append(tensor)
            try:
                rows = client.infer(model, inputs).as_numpy("RESULT").reshape(-1)
                answers += [json.loads(row) for row in rows]
            except triton.InferenceServerException as error:
                answers += [str(error)] * len(part)
            if progress is not None:
                progress(len(part))
    return answers


def compare(offline: Sequence[Any], served: Sequence[Any], by_call: bool = False) -> Verdict:
    """Equal answers but for small differences of scores; by_call: a few texts may differ, their ranges being other."""
    tolerance, allowed = (SCORE_BY_CALL, PART_BY_CALL) if by_call else (SCORE, 0.0)
    different = [
        i
        for i, (ours, theirs) in enumerate(zip(offline, served, strict=True))
        if not alike(_answer(ours), _answer(theirs), tolerance)
    ]
    figures: Mapping[str, Any] = {"served_texts": len(offline), "served_different": len(different)}
    if len(different) > allowed * len(offline):
        i = different[0]
        return Verdict(
            f"the server answers {len(different)} of {len(offline)} texts otherwise than the offline evaluation; "
            f"the first is text {i + 1}: {_short(served[i])} where {_short(offline[i])} was expected",
            figures,
        )
    return Verdict(figures=figures)


def alike(ours: Any, theirs: Any, tolerance: float) -> bool:
    """Same JSON; numbers with a fraction may differ by the tolerance."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return ours.keys() == theirs.keys() and all(alike(ours[k], theirs[k], tolerance) for k in ours)
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(alike(a, b, tolerance) for a, b in zip(ours, theirs, strict=True))
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)):
        return bool(ours == theirs) or (isinstance(ours, float) and abs(ours - theirs) <= tolerance)
    return bool(ours == theirs)


def _answer(result: Any) -> Any:
    """What is compared: ties of equal scores may stand in either order further down a list of candidates."""
    if isinstance(result, str) or "error" in result:
        return "refused"
    return {name: value for name, value in result.items() if name != "top"}


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."
