"""What a server shall serve, and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ernie_serve import problems


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """What to serve and where."""

    repository: Path
    host: str = "127.0.0.1"
    http_port: int = 8000
    """0 picks a free port, here and for the other ports."""
    grpc_port: int = 8001
    metrics_port: int = 8002
    config_name: str | None = problems.STAND_INS
    """Models use ``configs/<name>.pbtxt`` where they have one; None: the plain config.pbtxt."""
    log_file: Path | None = None
    """For the log of tritonserver and its models; None: a file in the cache folder, named by the HTTP port."""
    extra: tuple[str, ...] = ()
    """More arguments of tritonserver, such as ``--model-control-mode=explicit``."""
    timeout: float = 180.0
    """Seconds until every model must be ready."""
    drain_seconds: int = 30
    """Seconds that requests in flight may take once the server is told to stop."""
    auto_complete: bool = False
    """Let Triton complete configurations: it starts one more interpreter per model, which takes some 2 s."""
    cache: int = 0
    """Size of the response cache in bytes; 0 for none."""
    trace: str = ""
    """Where spans are posted (`tracing.collector`); empty: nowhere."""
    trace_every: int = 1
    """One request of so many is traced."""
    bounded: bool = True
    """Models refuse what they cannot answer within their `slo_ms`; else everything waits, as measuring needs it."""
    supervised: bool = False
    """Whether models may be replaced while the server runs; this process alone may do so, by a random key."""
    private: bool = False
    """With `supervised`: every API wants that key, so only this process and whom it tells may ask at all."""

    @property
    def is_explicit(self) -> bool:
        """Whether the caller decides which models are loaded, and when."""
        return any("explicit" in part or "poll" in part for part in self.extra)

    @property
    def ports(self) -> dict[str, int]:
        """Of each listener, by what tritonserver's options call it."""
        return {"http": self.http_port, "grpc": self.grpc_port, "metrics": self.metrics_port}
