"""An offered rate: records fall due by the clock, not when the client is done with the last ones.

They fall due in bursts, one a millisecond, because event loops do not wake more often than that; so every
client gets the same bursts. A record's latency counts from the call that sends it. But where that call came
late because the client held the sender up, it counts from when the record was due: a client that stalls does
not improve its figures by sending less meanwhile.
"""

from __future__ import annotations

from time import perf_counter

BURSTS_PER_SECOND = 1000
# Later than a timer is on a busy machine.
_LATE_S = 0.002


class Pacer:
    """When the next burst is due, for `rate` records a second. It begins with the first `pause`."""

    def __init__(self, rate: int) -> None:
        self.burst = max(1, rate // BURSTS_PER_SECOND)
        """Records of a burst."""
        self._step = self.burst / rate
        self._due: float | None = None

    def pause(self) -> float:
        """Seconds until the next burst is due; zero or less: send it now."""
        now = perf_counter()
        if self._due is None:
            self._due = now
        return self._due - now

    def begin(self) -> float:
        """The burst is being sent; return the moment its records' latency counts from."""
        now = perf_counter()
        due = now if self._due is None else self._due
        self._due = due + self._step
        return now if now - due < _LATE_S else due
