"""The glue to Triton's Python backend, with a stand-in for the module that exists only inside the server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_runtime.errors import InvalidItem
from ernie_runtime.triton import backend as triton

SECRET = "secret.py"


class Tensor:
    def __init__(self, name: str, array: np.ndarray) -> None:
        self.name, self.array = name, array

    def as_numpy(self) -> np.ndarray:
        return self.array


class TritonError:
    INVALID_ARG, INTERNAL, CANCELLED, UNAVAILABLE = "INVALID_ARG", "INTERNAL", "CANCELLED", "UNAVAILABLE"

    def __init__(self, message: str, code: str) -> None:
        self.message, self.code = message, code


class InferenceResponse:
    def __init__(self, output_tensors: Sequence[Tensor] = (), error: TritonError | None = None) -> None:
        self.outputs, self.error = {t.name: t.array for t in output_tensors}, error


class Server:
    """Stands for triton_python_backend_utils; keeps the log."""

    Tensor, TritonError, InferenceResponse = Tensor, TritonError, InferenceResponse

    def __init__(self) -> None:
        self.log: list[str] = []
        self.Logger = type("Logger", (), {"log_error": staticmethod(self.log.append)})

    @staticmethod
    def get_input_tensor_by_name(request: Mapping[str, Any], name: str) -> Any:
        return request.get(name)


def request_of(*numbers: int, **more: Sequence[int]) -> dict[str, Tensor]:
    columns = {"A": numbers, "B": numbers, **more}
    return {name: Tensor(name, np.array(c, np.int64).reshape(-1, 1)) for name, c in columns.items()}


class Double:
    """A step: doubles A; refuses 13 with a reason; has a bug with 0."""

    inputs: tuple[str, ...] = ("A", "B")

    def __init__(self) -> None:
        self.calls: list[int] = []

    def run(self, requests: Sequence[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray] | InvalidItem]:
        self.calls.append(len(requests))
        if any((request["A"] == 0).any() for request in requests):
            raise ZeroDivisionError(f"in {SECRET}, line 1")
        return [
            InvalidItem("item 0: unlucky") if (request["A"] == 13).any() else {"OUT": (request["A"] * 2).T}
            for request in requests
        ]


def outcomes(responses: Sequence[InferenceResponse]) -> list[Any]:
    return [r.outputs["OUT"].ravel().tolist() if r.error is None else r.error.code for r in responses]


def test_answers_in_order_from_one_call() -> None:
    step, server = Double(), Server()
    responses = triton.execute(step, [request_of(1), request_of(2, 3), request_of(4)], server)
    assert outcomes(responses) == [[2], [4, 6], [8]]
    assert step.calls == [3] and server.log == []
    assert all(r.outputs["OUT"].flags["C_CONTIGUOUS"] for r in responses)


def test_missing_inputs_and_empty_batches_fail_alone() -> None:
    step, server = Double(), Server()
    requests = [request_of(1), {"A": request_of(2)["A"]}, {}, request_of(), request_of(5)]
    responses = triton.execute(step, requests, server)
    assert outcomes(responses) == [[2], "INVALID_ARG", "INVALID_ARG", "INVALID_ARG", [10]]
    assert [r.error.message for r in responses[1:4]] == [
        "input B is missing",
        "input A, B is missing",
        "the request holds no items",
    ]
    assert step.calls == [2] and server.log == []


def test_nothing_to_run() -> None:
    step, server = Double(), Server()
    assert outcomes(triton.execute(step, [request_of()], server)) == ["INVALID_ARG"]
    assert triton.execute(step, [], server) == []
    assert step.calls == []


def test_a_refused_request_fails_alone() -> None:
    server = Server()
    responses = triton.execute(Double(), [request_of(1), request_of(13), request_of(2)], server)
    assert outcomes(responses) == [[2], "INVALID_ARG", [4]]
    assert responses[1].error.message == "item 0: unlucky"
    assert server.log == []


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_bug_harms_one_request_and_tells_its_sender_nothing(position: int) -> None:
    step, server = Double(), Server()
    requests = [request_of(1), request_of(2), request_of(13)]
    requests[position] = request_of(0)
    responses = triton.execute(step, requests, server)
    expected: list[Any] = [[2], [4], "INVALID_ARG"]
    expected[position] = "INTERNAL"
    assert outcomes(responses) == expected
    message = responses[position].error.message
    assert "\n" not in message and "Traceback" not in message and SECRET not in message
    assert "ZeroDivisionError" in message and "server's log" in message
    assert len(server.log) == 1 and "Double" in server.log[0] and SECRET in server.log[0]
    assert step.calls == [3, 1, 1, 1]


class Request(dict[str, Tensor]):
    """One that counts how often it is asked."""

    def __init__(self, numbers: Sequence[int], cancelled: bool) -> None:
        super().__init__(request_of(*numbers))
        self.cancelled, self.asked = cancelled, 0

    def is_cancelled(self) -> bool:
        self.asked += 1
        return self.cancelled


def test_a_costly_step_skips_large_cancelled_requests() -> None:
    many = range(1, triton.LARGE_REQUEST + 1)
    large, not_cancelled, small = Request(many, True), Request(many, False), Request([1], True)
    step, server = Double(), Server()
    assert outcomes(triton.execute(step, [large], server)) == [[2 * n for n in many]] and large.asked == 0
    step.costly = True  # type: ignore[attr-defined]
    responses = triton.execute(step, [large, not_cancelled, small], server)
    assert outcomes(responses) == ["CANCELLED", [2 * n for n in many], [2]]
    assert step.calls == [1, 2] and (large.asked, not_cancelled.asked, small.asked) == (1, 1, 0)


def test_a_lone_bug_is_run_once() -> None:
    step, server = Double(), Server()
    assert outcomes(triton.execute(step, [request_of(0)], server)) == ["INTERNAL"]
    assert step.calls == [1] and len(server.log) == 1


def test_arguments() -> None:
    config = {"parameters": {"buckets": {"string_value": "8,16"}, "x": {"string_value": ""}}}
    args = {"model_config": json.dumps(config), "model_repository": "repo/T_tokenizer", "model_version": "3"}
    assert triton.parameters(args) == {"buckets": "8,16", "x": ""}
    assert triton.parameters({"model_config": "{}"}) == {}
    assert triton.version_folder(args) == Path("repo/T_tokenizer/3")


class Room:
    """An admission with room for `rows` rows."""

    def __init__(self, rows: int) -> None:
        self.rows, self.executions = rows, list[int]()

    def room(self) -> int:
        return self.rows

    def ended(self, rows: int, seconds: float) -> None:
        assert seconds >= 0
        self.executions.append(rows)


def test_requests_beyond_the_admitted_rows_are_refused() -> None:
    """The first is taken whatever its size, those after it while there is room."""
    requests = [request_of(1, 2, 3), request_of(4, 5), request_of(6)]
    for rows, admitted in ((6, [0, 1, 2]), (5, [0, 1]), (4, [0, 2]), (2, [0])):
        room = Room(rows)
        responses = triton.execute(Double(), requests, Server(), room)
        assert [i for i, r in enumerate(responses) if r.error is None] == admitted
        assert all(r.error.code == "UNAVAILABLE" for i, r in enumerate(responses) if i not in admitted)
        assert room.executions == [sum((3, 2, 1)[i] for i in admitted)]


def test_an_execution_without_work_says_nothing() -> None:
    room, step = Room(99), Double()
    step.costly = True  # type: ignore[attr-defined]
    answered = triton.execute(step, [Request(range(1, 21), True)], Server(), room)
    assert outcomes(answered) == ["CANCELLED"]
    triton.execute(step, [request_of()], Server(), room)
    assert not room.executions and not step.calls


def args_of(**parameters: str) -> dict[str, str]:
    config = {"parameters": {name: {"string_value": value} for name, value in parameters.items()}}
    return {"model_config": json.dumps(config), "model_name": "T_tokenizer", "model_version": "7"}


def test_admission_depends_on_the_slo_parameter() -> None:
    assert triton.admission(args_of(slo_ms="400")) is not None
    assert triton.admission(args_of()) is None
