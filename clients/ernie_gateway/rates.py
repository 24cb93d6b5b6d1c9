"""How many texts a second a key may ask: one account a key, shared by all workers and both listeners.

An account is the time until which its texts are paid for (the generic cell rate algorithm). A key that was idle may
ask a second's worth at once; a request may ask more than is left, and then the next one waits until that is made up.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import struct
import time
from pathlib import Path

from .keys import Key
from .problems import Problem

BURST_SECONDS = 1.0
_TIME = struct.Struct("<d")


class Rates:
    """The accounts. folder: where processes share them, a file each; None: in this process alone."""

    def __init__(self, folder: str | None) -> None:
        self._folder = Path(folder) if folder else None
        self._paid: dict[str, float] = {}
        self._files: dict[str, int] = {}

    def admit(self, key: Key) -> Allowance:
        """Charge a request's first text; Problem 429 where the key has to wait."""
        allowance = Allowance(self, key)
        if (wait := self.charge(key, 0)) > 0:
            seconds = math.ceil(wait)
            message = f"the key {key.name} may ask {key.rate:g} texts a second: try again in {seconds} s"
            raise Problem(429, "rate_limited", message, headers={"retry-after": str(seconds)})
        allowance.charge(1)
        return allowance

    def charge(self, key: Key, texts: int) -> float:
        """Charge texts; seconds until the key may ask again, 0 where it may now."""
        if not key.rate:
            return 0.0
        now = time.monotonic()  # the same in all processes of a machine
        if self._folder is None:
            paid = self._paid[key.name] = max(self._paid.get(key.name, 0.0), now - BURST_SECONDS) + texts / key.rate
        else:
            paid = _charge(self._file(key), now, texts / key.rate)
        return max(0.0, paid - now)

    def _file(self, key: Key) -> int:
        if key.name not in self._files:
            assert self._folder is not None
            path = self._folder / f"{hashlib.sha256(key.name.encode()).hexdigest()}.rate"
            self._files[key.name] = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        return self._files[key.name]


class Allowance:
    """What one request has been charged for."""

    def __init__(self, rates: Rates, key: Key) -> None:
        self.key, self._rates = key, rates
        self._asked = self._charged = 0

    def ask(self, texts: int) -> None:
        """Charge texts that are about to be asked; the first of a request has been charged."""
        self._asked += texts
        self.charge(self._asked - self._charged)

    def charge(self, texts: int) -> None:
        """Charge texts, whether they are asked or not."""
        if texts > 0:
            self._charged += texts
            self._rates.charge(self.key, texts)

    def wait(self) -> float:
        """Seconds until the key may ask again: how long a stream pauses."""
        return self._rates.charge(self.key, 0)


def _charge(file: int, now: float, seconds: float) -> float:
    """Until when the account in `file` is paid for, with `seconds` more."""
    fcntl.lockf(file, fcntl.LOCK_EX)
    try:
        stored = os.pread(file, _TIME.size, 0)
        paid = max(_TIME.unpack(stored)[0] if stored else 0.0, now - BURST_SECONDS) + seconds
        os.pwrite(file, _TIME.pack(paid), 0)
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN)
    return float(paid)
