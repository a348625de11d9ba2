"""`SpareGreenlet`: calls functions as if each had a greenlet of its own, and mostly needs one for all.

To start a greenlet and let it end takes several times as long as to switch to one that waits, since memory is
mapped for each. So one calls what is asked for, one after the other, and then waits for more. Where a call
waits for something, another greenlet goes on with those behind it.

What a greenlet of one's own promises stays: nothing that a call leaves behind meets the next. A greenlet is
kept only if it is as it was: nobody has a new reference to it (a timer that was not cancelled has one, and so
has who may kill it), no attributes (`gevent.local` has one for each), no links; and each call begins with an
empty context.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from sys import getrefcount
from typing import Any

import gevent
from gevent._hub_local import get_hub_if_exists


class SpareGreenlet:
    """For calls in the hub `home`."""

    __slots__ = ("queue", "parked", "keeps", "_home", "_loop", "_scheduled")

    def __init__(self, home: Any) -> None:
        self.queue: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.parked: Any = None  # the greenlet that waits for more, while there is one
        self.keeps: bool = True
        self._home = home
        self._loop = home.loop
        self._scheduled = False

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have `function` called after what is ready now. Only at home."""
        self.queue.append((function, arguments))
        if not self._scheduled:
            self._scheduled = True
            self._loop.run_callback(self._go_on)

    def _go_on(self) -> None:
        """In the hub: switch to who calls, until nothing is left to be begun with."""
        try:
            while self.queue:
                caller, self.parked = self.parked or _Caller(self), None
                caller.switch()
        finally:
            self._scheduled = False
            if self.queue:  # a signal handler raised
                self._scheduled = True
                self._loop.run_callback(self._go_on)

    def close(self) -> None:
        """Keep no greenlet any more. From any thread, also when the home is gone."""
        self.keeps = False
        parked, self.parked = self.parked, None
        if parked is not None:
            with suppress(ValueError):  # its loop was destroyed
                if get_hub_if_exists() is self._home:
                    self._loop.run_callback(parked.switch)
                else:
                    self._loop.run_callback_threadsafe(parked.switch)

    def forget(self) -> None:
        """In a forked child, or without the home: nothing more will run in the greenlet that was kept."""
        self.keeps = False
        self.parked = None
        self.queue.clear()


class _Caller(gevent.Greenlet):  # type: ignore[misc]  # untyped
    """Calls what stands in the queue of `spare`."""

    def __init__(self, spare: SpareGreenlet) -> None:
        super().__init__()
        self.spare = spare

    def _run(self) -> None:
        spare, queue, hub = self.spare, self.spare.queue, gevent.get_hub()
        try:
            while queue:
                function, arguments = queue.popleft()
                before = getrefcount(self), len(self.__dict__), self.has_links()
                function(*arguments)
                if (getrefcount(self), len(self.__dict__), self.has_links()) != before:
                    return
                self.gr_context = None
                if not queue:
                    del function, arguments  # what it was called for may go
                    if not spare.keeps or spare.parked is not None:
                        return
                    spare.parked = self
                    while spare.parked is self:
                        hub.switch()
        finally:
            if spare.parked is self:  # it was killed
                spare.parked = None
