"""`Sampler`: shows a client's hooks, once a second, how much it holds, and how long its hub stood still.

Only for clients whose hooks want samples. A timer of the loop, ten times a second, finds out by how much it is
late; whatever holds the hub for longer than that is seen.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from klife.actors.runtime.forked import is_forked, take_note

if TYPE_CHECKING:
    from klife.actors.engine import Engine
    from klife.actors.observer import Observer

_TICK = 0.1  # seconds
_TICKS = 10  # a sample


class Sampler:
    """Of one client; runs until that has ended."""

    def __init__(self, engine: Engine, observer: Observer) -> None:
        self._engine = engine
        self._observer = observer
        self._gap = 0.0
        self._ticks = _TICKS - 1  # the first sample with the first tick
        self._due = monotonic() + _TICK
        self._timer = engine.loop.timer(_TICK, _TICK, ref=False)
        self._timer.start(self._tick)
        engine.on_end.append(self._ended)

    def _tick(self) -> None:
        if is_forked():
            take_note()
        if self._engine.inherited:  # timers go on in a forked child, and the client is the parent's
            self._timer.stop()
            return
        now = monotonic()
        self._gap = max(self._gap, now - self._due)
        self._due = now + _TICK
        self._ticks += 1
        if self._ticks >= _TICKS:
            self._sample(now)

    def _sample(self, now: float) -> None:
        engine, gap = self._engine, self._gap
        self._ticks, self._gap = 0, 0.0
        shares: dict[str, int] = {}
        for part in engine.parts:
            shares |= part.status()
        oldest = engine.oldest_unsettled
        self._observer.sampled(
            buffer_bytes=shares["buffered_bytes"],
            max_buffered_bytes=shares["max_buffered_bytes"],
            waiting_for_buffer=shares["waiting_for_buffer"],
            unsettled=engine.unsettled,
            oldest_unsettled=0.0 if oldest is None else now - oldest,
            brokers_connected=sum(broker.is_connected for broker in list(engine.metadata.brokers.values())),
            hub_gap=gap,
        )

    def _ended(self, engine: Engine) -> None:
        if not engine.orphaned:  # else its loop is gone
            self._timer.stop()
            self._timer.close()
        self._sample(monotonic())
