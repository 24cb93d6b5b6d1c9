"""Client of the tasks that ernie-triton publishes: `Client().predict("tnews", texts)`."""

from .client import Client
from .errors import ErnieTritonError, InvalidText, ServerError, ServerUnavailable, UnknownTask
from .results import ClassificationResult, EntitiesResult, Entity, Label, RawResult, Result, TextError
from .tasks import Task

__all__ = [
    "ClassificationResult",
    "Client",
    "EntitiesResult",
    "Entity",
    "ErnieTritonError",
    "InvalidText",
    "Label",
    "RawResult",
    "Result",
    "ServerError",
    "ServerUnavailable",
    "Task",
    "TextError",
    "UnknownTask",
]
