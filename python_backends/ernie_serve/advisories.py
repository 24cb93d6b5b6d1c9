"""Which releases of Triton have published holes. Sources and what they mean here: SECURITY.md."""

from __future__ import annotations

TRITON_OF = {"0.7": "24.10"}
"""Release of Triton in the wheel nvidia-pytriton, by its first two numbers."""
FIXED_IN = "26.07"
"""The release that fixes all that was published until August 2026: older ones have known holes."""


def holes(wheel_version: str) -> str:
    """What is known to be wrong with the Triton of this wheel, in a line; empty where nothing is."""
    release = TRITON_OF.get(".".join(wheel_version.split(".")[:2]), "")
    if not release or release >= FIXED_IN:
        return ""
    return (
        f"nvidia-pytriton {wheel_version} has Triton {release}; NVIDIA has published holes in it that releases until "
        f"{FIXED_IN} closed (SECURITY.md lists them)"
    )
