"""Something that happens once, waited for by greenlets of its own thread and by other threads.

gevent's events can be waited for across threads only where the waiting thread has an event loop with
something to do; a plain thread has none. So greenlets at home wait on a gevent event, and everyone else on an
operating system lock.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import TIMEOUT_MAX
from typing import Any

from gevent.event import Event
from gevent.monkey import get_original

from klife_supervision.mailbox import HomeThread

_allocate_lock: Callable[[], Any] = get_original("_thread", "allocate_lock")


class Latch:
    """Closed until `open` is called, in the thread of `home`."""

    __slots__ = ("_event", "_home", "_locks")

    def __init__(self, home: HomeThread) -> None:
        self._home = home
        self._event: Any = Event()
        self._locks: list[Any] = []

    def is_open(self) -> bool:
        """Whether it has happened."""
        return bool(self._event.is_set())

    def open(self) -> None:
        """It happened: wake everyone."""
        self._event.set()
        for lock in self._locks:
            lock.release()

    def wait(self, timeout: float | None) -> bool:
        """Wait for it, at most `timeout` seconds (None: no limit); whether it has happened."""
        if timeout is not None:  # to a lock -1 is for ever and more than TIMEOUT_MAX an error; a timer of nan holds the loop
            timeout = min(timeout, TIMEOUT_MAX) if timeout > 0 else 0.0
        if self._home.is_here():
            self._event.wait(timeout)
        else:
            lock = _allocate_lock()
            lock.acquire()
            self._locks.append(lock)
            # Opened before the append, the latch did not see this lock; after it, it releases it.
            if not self.is_open():
                lock.acquire(timeout=-1 if timeout is None else timeout)
        return self.is_open()
