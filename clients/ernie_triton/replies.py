"""What the server says of one text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Reply:
    """What a task says of one text: `raw` is the RESULT object, `numeric` the numeric outputs where asked for."""

    raw: Mapping[str, Any]
    numeric: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)
    """By name, without the batch dimension: LABEL_ID int64 [1], SCORE float32 [1], EMBEDDING float32 [D]."""
