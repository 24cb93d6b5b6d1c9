"""Types of what this project uses of protobuf's text format."""

from typing import TypeVar

from .message import Message

M = TypeVar("M", bound=Message)

class ParseError(Exception):
    def GetLine(self) -> int: ...
    def GetColumn(self) -> int: ...

def Parse(text: str | bytes, message: M) -> M: ...
def MessageToString(message: Message, *, as_utf8: bool = ...) -> str: ...
