"""What a call may ask for besides its texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypedDict

BATCH = 32  # texts in a request, by default


class AskOptions(TypedDict, total=False):
    """Keywords of every method that asks a task about texts."""

    variant: str | None
    """A precision other than the recommended one."""
    batch_size: int
    """The maximum of texts in a request, 32 by default; a request of long texts holds fewer."""
    timeout: float | None
    """Seconds that one request may take, its retries included; None: the client's."""
    offsets: Literal["characters", "utf16"]
    """What `start` and `end` of answers count: characters as Python does, or UTF-16 units as JavaScript does."""
    priority: int
    """1 for interactive requests, 2 for bulk, where the task has priorities; 0: the task's default."""
    headers: Mapping[str, str]
    """Headers of these requests, such as `traceparent`, besides the client's."""


class VectorOptions(AskOptions, total=False):
    """Those of tasks that give vectors too."""

    prefix: str | None
    """The name of the prefix to put before the texts (`Task.prefixes`: query, passage)."""
    dimensions: int | None
    """How many numbers of each vector to keep, scaled to length 1 again."""
