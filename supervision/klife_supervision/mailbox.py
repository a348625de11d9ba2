"""The inbox of a supervisor's loop, and the way into its thread.

A deque and a parked greenlet: a put wakes the loop with one callback of the hub, and nothing runs while
nothing arrives. Puts may come from any greenlet and, where gevent has not patched threads, from any thread: a
pykka `ThreadingActor` ends in its own.

A thousand children that crash at once are a thousand messages and a tenth of a second of work; so a loop that
does not get to park lets everybody else have a turn every few milliseconds.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import gevent
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Waiter

from klife_supervision.let_hub_run import let_hub_run

Message = TypeVar("Message")

BUSY_SECONDS = 0.004
"""How long the loop serves messages before others, sockets and timers included, get a turn."""


class HomeThread:
    """The thread of a gevent hub: of `hub`, or of the one in which it was made.

    Known by the hub, and not by its number: the system gives the number of a thread that ended to the next
    one.
    """

    __slots__ = ("_hub",)

    def __init__(self, hub: Any = None) -> None:
        self._hub = hub if hub is not None else gevent.get_hub()

    def is_here(self) -> bool:
        """Whether the caller runs in that thread."""
        return get_hub_if_exists() is self._hub

    def is_of(self, hub: Any) -> bool:
        """Whether this is the thread of `hub`."""
        return hub is self._hub

    def soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Call `function` in that thread's hub, soon; it must not wait. May be called from any thread."""
        loop = self._hub.loop
        if self.is_here():
            loop.run_callback(function, *args)
        else:
            loop.run_callback_threadsafe(function, *args)


class Mailbox(Generic[Message]):
    """First in, first out; many may put, one greenlet gets."""

    def __init__(self) -> None:
        self._home = HomeThread()
        self._messages: deque[Message] = deque()
        self._waiter: Any = None
        self._turn_began = time.monotonic()

    def put(self, message: Message) -> None:
        """Add a message; never waits."""
        self._messages.append(message)
        # From another thread the loop may be about to park, so it is always woken; here nothing runs in
        # between.
        if self._waiter is not None or not self._home.is_here():
            self._home.soon(self._wake)

    def get(self) -> Message:
        """Wait for a message, however long, and take it."""
        if self._messages:
            if time.monotonic() - self._turn_began > BUSY_SECONDS:
                let_hub_run()
                self._turn_began = time.monotonic()
        else:
            self._park()
            self._turn_began = time.monotonic()
        return self._messages.popleft()

    def _park(self) -> None:
        while not self._messages:
            self._waiter = Waiter()
            try:
                self._waiter.get()
            finally:
                self._waiter = None

    def look(self) -> None:
        """If something is there and the wake-up was lost, wake the loop. In the hub."""
        if self._messages:
            self._wake()

    def drain(self) -> list[Message]:
        """Take all that is there, without waiting."""
        messages = list(self._messages)
        self._messages.clear()
        return messages

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.switch(None)
