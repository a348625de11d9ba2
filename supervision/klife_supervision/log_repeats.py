"""What repeats is told once, and then as a count once a minute.

Brokers that are away, or a callback that always raises, would else fill the log with one line. An event
repeats another if it has the same name, level, logger and fields, but for those that count or vary by
themselves. Of so many different events the repeats are known; beyond that the oldest is forgotten, and told
anew when it comes again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INTERVAL = 60.0  # seconds
KNOWN_AT_MOST = 500

_VARYING = frozenset(("attempt", "exception"))


class _Told:
    __slots__ = ("since", "latest", "repeated", "fields")

    def __init__(self, since: float) -> None:
        self.since = since  # when it was told last, or its count
        self.latest = since
        self.repeated = 0
        self.fields: Mapping[str, Any] = {}  # of the latest


Kind = tuple[str, str, str]  # level, name of the logger, name of the event


class Repeats:
    """The events of the last minute. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._told: dict[tuple[Kind, int], _Told] = {}  # by kind and the hash of the fields; the oldest first

    def folds(self, kind: Kind, fields: Mapping[str, Any], now: float) -> bool:
        """Whether an event is a repeat, and thereby counted; else it is to be told."""
        try:
            key = kind, hash(tuple([(name, value) for name, value in fields.items() if name not in _VARYING]))
        except Exception:  # noqa: BLE001 - a field that has no hash, or whose class is the user's
            return False
        told = self._told.get(key)
        if told is None or (not told.repeated and told.since + INTERVAL <= now):
            self._told.pop(key, None)
            while len(self._told) >= KNOWN_AT_MOST:
                self._told.pop(next(iter(self._told)), None)
            self._told[key] = _Told(now)
            return False
        told.repeated += 1
        told.latest, told.fields = now, fields
        return True

    def due(self, now: float) -> list[tuple[Kind, dict[str, Any], float]]:
        """The counts whose minute is over: the latest fields of each with `repeated`, and when that was. What
        did not repeat in its minute is forgotten.
        """
        counts = []
        for key, told in list(self._told.items()):
            if told.since + INTERVAL <= now:
                self._told.pop(key, None)
                if told.repeated:
                    counts.append((key[0], {**told.fields, "repeated": told.repeated}, told.latest))
                    self._told[key] = _Told(now)
        return counts

    def next_due(self) -> float | None:
        """When a minute is over in which something repeated; None while nothing does."""
        return min((told.since + INTERVAL for told in list(self._told.values()) if told.repeated), default=None)

    def forget(self) -> None:
        """Begin anew."""
        self._told.clear()
