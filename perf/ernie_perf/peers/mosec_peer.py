"""mosec: a Rust HTTP front that batches requests for a Python worker; texts of a batch are padded to the longest."""

from __future__ import annotations

from .base import ModulePeer

BATCH, WAIT = 32, 5  # texts, milliseconds


class MosecPeer(ModulePeer):
    """The adapter of `mosec_app`."""

    name = "mosec"
    what = f"mosec, batches of up to {BATCH} texts within {WAIT} ms"
    packages: tuple[str, ...] = ("mosec",)
    module, path = "ernie_perf.peers.mosec_app", "/inference"
    arguments = ("--address", "127.0.0.1", "--port", "{port}", "--timeout", "60000", "--log-level", "warning")
