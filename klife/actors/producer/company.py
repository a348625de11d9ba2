"""`Company`: whether a small request should wait a moment for the records that usually travel with its own.

Greenlets that wait for their records produce the next ones when the answers come. With several brokers, an answer of the first one
wakes a few of them, and what they have for that broker would leave at once, as a request of one record or two; most others, woken by
the next brokers' answers a moment later, then wait for that small request to return. The brokers pay for requests more than for
records, so everybody pays. Hence a request that has much less than its lane's last ones waits, while answers of other brokers are
due, for these; at most a part of the time that an answer takes here, and never on brokers so near that it could not matter. Callers
that never wait for each other's answers have requests as small as their predecessors, and wait for nothing.

Plain numbers; the clock is the caller's.
"""

from __future__ import annotations

_FRACTION = 0.25  # of a round trip
_LONGEST = 0.002  # seconds
_SHORTEST = 0.0003  # less is not worth a timer
_WEIGHT = 0.125  # of the newest in the moving averages


class Company:
    """What one lane's requests have been like."""

    __slots__ = ("usual", "round_trip", "_waits_since")

    def __init__(self) -> None:
        self.usual = 1.0  # records in a request
        self.round_trip = 0.0  # seconds from sending to the answer
        self._waits_since = 0.0

    def sent(self, records: int) -> None:
        """A request left with so many records."""
        self.usual += (records - self.usual) * _WEIGHT
        self._waits_since = 0.0

    def answered(self, seconds: float) -> None:
        """An answer came so many seconds after its request."""
        self.round_trip += (seconds - self.round_trip) * _WEIGHT

    def wait_until(self, records: int, now: float) -> float:
        """Until when a request of so many records should wait if answers of other brokers are due; 0 to leave now."""
        longest = min(self.round_trip * _FRACTION, _LONGEST)
        if records * 2 > self.usual or longest < _SHORTEST:
            return 0.0
        if not self._waits_since:
            self._waits_since = now
        until = self._waits_since + longest
        return until if until > now else 0.0
