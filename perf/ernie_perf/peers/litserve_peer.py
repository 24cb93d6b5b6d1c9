"""LitServe: FastAPI in front, requests batched for a worker process; texts of a batch are padded to the longest."""

from __future__ import annotations

from .base import ModulePeer

BATCH, WAIT = 32, 0.005  # texts, seconds


class LitServePeer(ModulePeer):
    """The adapter of `litserve_app`."""

    name = "litserve"
    what = f"LitServe, batches of up to {BATCH} texts within {1000 * WAIT:g} ms"
    packages: tuple[str, ...] = ("litserve",)
    module, path, arguments = "ernie_perf.peers.litserve_app", "/predict", ("{port}",)
