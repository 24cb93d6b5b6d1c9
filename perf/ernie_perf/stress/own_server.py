"""What `overload` and `growth` share: one task's model behind a server of its own, asked by our own client."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ernie_builders.errors import BuildError
from ernie_runtime.errors import ErnieError
from ernie_serve import ServeError, ServerOptions, TritonServer

from ..errors import AnswerError, PerfError
from ..machine import machine
from ..sweep.expected import Expected
from .load_client import Outcome


def command(name: str, measure: Callable[[], tuple[str, Mapping[str, Any]]], output: Path | None) -> int:
    """Measure, print the text, write the figures and the machine as JSON to `output`.

    Exit codes: 0 measured, 1 a fault (one line), 130 interrupted.
    """
    try:
        text, figures = measure()
        sys.stdout.write(text)
        if output:
            document = {"machine": machine(), **figures}
            output.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except (PerfError, BuildError, ErnieError, ServeError) as error:
        sys.stderr.write(f"{name}: {error}\n")
    except OSError as error:
        sys.stderr.write(f"{name}: {error.filename}: {error.strerror}\n")
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{name}: interrupted\n")
        return 130
    else:
        return 0
    return 1


def server_of(repository: Path, model: str) -> TritonServer:
    """A server on free ports with that model and its steps and no others; started as a context manager."""
    control = ("--model-control-mode=explicit", f"--load-model={model}")
    return TritonServer(
        ServerOptions(repository, http_port=0, grpc_port=0, metrics_port=0, extra=control, log_file=None)
    )


def check_answers(outcomes: Sequence[Outcome], expected: Expected) -> None:
    """Fast and wrong is a failure: AnswerError."""
    answered = [one for one in outcomes if one.outputs is not None]
    wrong = [one for one in answered if expected.wrong(expected.items[one.item], one.outputs or {})]
    if len(wrong) > expected.allowed * len(answered):
        raise AnswerError(f"{len(wrong)} of {len(answered)} answers are wrong, the first: {wrong[0].outputs}")
