"""What can go wrong with a peer."""

from __future__ import annotations


class PeerError(Exception):
    """A peer, or all of a run, cannot be measured; the message is one line that says why."""
