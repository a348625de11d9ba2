"""`Health`: whether the cluster still answers, as far as its connections know. Asked at any moment, from any
thread: it waits for nobody, and sends nothing.

A client that has nothing to send hears nothing, and that is no illness. So silence only counts once somebody
has been asked in vain. Where nobody has, for a third of the silence that may be, `is_good` has the
MetadataActor ask: in its own time, by the request that it refreshes with anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic

from klife.actors.metadata.metadata import Metadata
from klife.actors.network.broker import Broker

_ASKS_AFTER = 1 / 3  # of the longest silence


class Health:
    """Of one client. Times are monotonic seconds."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._asked_at = 0.0

    @property
    def last_answer(self) -> float | None:
        """When any broker answered last; None while none has."""
        return last_answer(list(self._metadata.brokers.values()))

    @property
    def unreachable_since(self) -> float | None:
        """Since when no broker can be reached; None if one is connected, or some have not been tried in vain."""
        return unreachable_since(list(self._metadata.brokers.values()))

    def is_good(self, max_silence: float) -> bool:
        """Whether the cluster has been known, has not left questions without an answer for `max_silence`
        seconds, nor been out of reach for so long while bootstrap addresses answered.
        """
        metadata, now, last, unreachable = self._metadata, monotonic(), self.last_answer, self.unreachable_since
        if last is None or not metadata.snapshots_seen or (unreachable is not None and now - unreachable > max_silence):
            return False
        if now - last <= max_silence * _ASKS_AFTER:
            return True
        if self._asked_at <= last:
            self._asked_at = now
            metadata.request_refresh()
        if now - last <= max_silence:
            return True
        return unreachable is None and now - self._asked_at <= max_silence * _ASKS_AFTER


def last_answer(brokers: Iterable[Broker]) -> float | None:
    """When any of them answered last."""
    return max((broker.answered_at for broker in brokers if broker.answered_at is not None), default=None)


def unreachable_since(brokers: Iterable[Broker]) -> float | None:
    """Since when none of them can be reached: the first that failed after the last answer. Bootstrap
    addresses only count where no broker is known: they take no records.
    """
    placed = [broker for broker in brokers if broker.host is not None]
    counted = [broker for broker in placed if broker.node_id >= 0] or placed
    failed = [broker.failing_since for broker in counted if broker.answers_anything]
    if not failed or None in failed or any(broker.is_connected for broker in counted):
        return None
    first = min(since for since in failed if since is not None)
    last = last_answer(counted)
    return first if last is None else max(first, last)
