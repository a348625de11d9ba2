"""How long to wait before trying again: one rule for connections, metadata and records (KIP-580)."""

from __future__ import annotations

SOON = 0.02
"""Seconds to wait at first where what is in the way mostly passes by itself in less (or the usual wait, if that
is shorter). The waits double from there up to the usual highest.
"""


def backoff(attempt: int, first: float, highest: float, jitter: float) -> float:
    """Seconds to wait before retry number `attempt` (from 1): doubling from `first` up to `highest`, then ±
    20 % (KIP-580).

    `jitter` is a random number in [0, 1), passed in so that this stays a pure function.
    """
    wait = first * float(2 ** min(attempt - 1, 30))
    return min(wait, highest) * (0.8 + 0.4 * jitter)
