"""`let_hub_run`: one full turn of the event loop for everybody else, sockets and timers included.

`gevent.sleep(0)` is not that: it queues a callback, and the loop runs up to a thousand callbacks before it
looks at a socket or a timer again. A greenlet that works in slices of five milliseconds would keep them
waiting for seconds. A timer, on the other hand, costs a millisecond of doing nothing, the least that epoll
waits. An idle watcher makes the loop poll without waiting; at the highest priority it is called in each turn,
however busy the sockets are. It is called first, and so the caller goes on only in the next turn: what this
one found, timers that are due among it, comes before.

Callers share their turns: once those that went on have taken two milliseconds, the others have the next. So a
hundred of them hold nobody up for longer than one would.
"""

from __future__ import annotations

from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from gevent import get_hub, getcurrent

TURN_SECONDS = 0.002
"""What those who share a turn of the loop take of it before they let others have theirs."""


def let_hub_run() -> None:
    """Let all that is ready run: callbacks, sockets, timers. Takes no time when nothing is."""
    hub = get_hub()
    breath = _breaths.get(hub)
    if breath is None:
        breath = _breaths[hub] = _Breath(hub.loop)
    breath.wait(hub, getcurrent())


class LongWork:
    """Work of one greenlet that may take several turns of the loop."""

    def __init__(self) -> None:
        self._until = monotonic() + TURN_SECONDS

    def gives_way(self) -> bool:
        """Let the hub run, if this has had a turn's share since it did so last; return whether others ran."""
        if monotonic() <= self._until:
            return False
        let_hub_run()
        self._until = monotonic() + TURN_SECONDS
        return True


class _Breath:
    """Who lets a hub run, longest first."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._watcher = loop.idle(priority=loop.MAXPRI)
        self._waiting: dict[Any, None] = {}

    def wait(self, hub: Any, current: Any) -> None:
        try:  # a signal handler may raise after any call, and nothing must switch to the caller later
            self._waiting[current] = None
            if not self._watcher.active:
                self._watcher.start(self._polled)
            while current in self._waiting:
                hub.switch()
        finally:
            self._waiting.pop(current, None)

    def _polled(self) -> None:
        self._watcher.stop()
        self._loop.run_callback(self._go_on, list(self._waiting))

    def _go_on(self, greenlets: list[Any]) -> None:
        until = monotonic() + TURN_SECONDS
        try:
            for greenlet in greenlets:
                if greenlet in self._waiting:  # it may have been killed
                    del self._waiting[greenlet]
                    greenlet.switch()
                    if monotonic() > until:
                        break
        finally:
            if self._waiting and not self._watcher.active:
                self._watcher.start(self._polled)


_breaths: WeakKeyDictionary[Any, _Breath] = WeakKeyDictionary()
