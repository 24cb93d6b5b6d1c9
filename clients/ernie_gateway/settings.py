"""What the command line decides; workers get it through the environment, as uvicorn starts them by name."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

VARIABLE = "ERNIE_GATEWAY_SETTINGS"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of one gateway, for all its workers."""

    url: str = "127.0.0.1:8001"
    """host:port of Triton's gRPC port."""
    timeout: float = 60.0
    """Seconds that Triton may take for a request; then the caller gets 504."""
    max_body: int = 8 * 2**20
    """Bytes of a body, or of one line of a streamed body; more gets 413."""
    max_items: int = 1024
    """Items of a request; more gets 413. A streamed body has no such limit."""
    max_requests: int = 256
    """Requests that one worker has in hand; more get 429."""
    body_timeout: float = 30.0
    """Seconds in which a body, or the next part of a streamed one, must arrive; then 408."""
    keys_file: str | None = None
    """File of API keys; None: anybody may ask."""
    origins: tuple[str, ...] = ()
    """Origins whose pages may ask from a browser (CORS)."""
    log_texts: bool = False
    """Log the body of each request."""

    def to_environment(self) -> None:
        """For the workers."""
        os.environ[VARIABLE] = json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> Settings:
        """What `to_environment` wrote."""
        values = json.loads(os.environ[VARIABLE])
        return cls(**{**values, "origins": tuple(values["origins"])})
