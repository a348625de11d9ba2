"""How long to wait before trying again: one rule for connections, metadata and records (KIP-580)."""

from __future__ import annotations

SOON = 0.02
"""Seconds to wait at first, at most, for what passes by itself in milliseconds, mostly."""


def backoff(attempt: int, first: float, highest: float, jitter: float, *, soon: bool = False) -> float:
    """Seconds to wait before retry number `attempt` (from 1): doubling from `first` up to `highest`, then ±
    20 % (KIP-580).

    `jitter` is a random number in [0, 1), passed in so that this stays a pure function. With `soon` the first
    wait is `SOON`, if `first` is not shorter yet.
    """
    wait = (min(first, SOON) if soon else first) * float(2 ** min(attempt - 1, 30))
    return min(wait, highest) * (0.8 + 0.4 * jitter)
