"""What `overload` and `growth` share: a server with one task's model, checked answers, and printing the figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ernie_runtime.command_line import json_output
from ernie_runtime.json_types import Json
from ernie_serve import ServerOptions, TritonServer

from ..errors import AnswerError
from ..machine import describe_machine
from ..sweep.expected import ExpectedAnswers
from .load_client import RequestOutcome


def print_figures(text: str, figures: Json, output: Path | None, as_json: bool) -> None:
    """Print the text, or the figures as JSON; write these and the machine as JSON to `output`. Errors: OSError."""
    with json_output(as_json) as report:
        sys.stdout.write(text)
        report(figures)
    if output is not None:
        document = {"machine": asdict(describe_machine()), **figures}
        output.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def server_of(repository: Path, *models: str) -> TritonServer:
    """A server on free ports with those models and their steps and no others; a context manager starts it."""
    control = ("--model-control-mode=explicit", *(f"--load-model={model}" for model in models))
    return TritonServer(
        ServerOptions(repository=repository, http_port=0, grpc_port=0, metrics_port=0, extra=control, log_file=None)
    )


def check_answers(outcomes: Sequence[RequestOutcome], expected: ExpectedAnswers) -> None:
    """Compare every answer. Errors: AnswerError where more are wrong than may be."""
    answers = [(expected.items[outcome.item], outcome.outputs) for outcome in outcomes if outcome.outputs is not None]
    wrong = [outputs for item, outputs in answers if expected.is_wrong(item, outputs)]
    if expected.too_many_wrong(len(wrong), len(answers)):
        raise AnswerError(f"{len(wrong)} of {len(answers)} answers are wrong, the first: {wrong[0]}")
