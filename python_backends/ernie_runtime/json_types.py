"""JSON objects whose keys are not fixed: options, cards, settings. A fixed shape has a class of its own instead.

Standard library only, so that a client needs nothing else of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]
"""A JSON object to read."""

JsonObject = dict[str, Any]
"""A JSON object to fill, or one just parsed."""
