"""`Ahead`: a call whose result will be wanted, made meanwhile by one more thread, if that comes to it.

It pays for calls that work without the interpreter's lock and are known of before anybody waits for them. Who
wants the result takes what is ready, makes a call himself that the thread has not begun, and waits only for
one that is just being made. So nobody depends on the thread, and the hub is not woken for what nobody waits
for.

A process has one such thread, for all its clients, and only while there is something to do: the first call
starts it, and it ends when none came for a second. It knows of no client, so none has to end it. A forked
child has none of its parent's calls, and starts a thread of its own. At the interpreter's exit the call that
is being made is waited for: else the thread would come back from a library of others to an interpreter that
is gone.
"""

from __future__ import annotations

import atexit
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Generic, TypeVar

from gevent import get_hub
from gevent.event import Event
from gevent.monkey import get_original

from klife.actors.runtime.forked import call_in_child, take_note
from klife.actors.runtime.thread_pool import outcome_of, returned

T = TypeVar("T")

_IDLE = 1.0  # seconds that the thread waits for another call
_TO_END = 5.0  # seconds that an exit waits for the call that is being made
_allocate_lock: Callable[[], Any] = get_original("_thread", "allocate_lock")
_new_rlock: Callable[[], Any] = get_original("threading", "RLock")
_start_thread: Callable[..., Any] = get_original("_thread", "start_new_thread")


class Ahead(Generic[T]):
    """A call that the thread may make. `left_to_caller` and `result` are for greenlets of the hub it was made in."""

    __slots__ = ("seconds", "_call", "_arguments", "_owner", "_loop", "_outcome", "_woken")

    def __init__(self, call: Callable[..., T], *arguments: Any) -> None:
        self.seconds: float = 0.0  # that the call took in the thread
        self._call: Callable[..., T] | None = call
        self._arguments = arguments
        self._owner: dict[None, bool] = {}  # whether it is the thread's; the first who asks settles it, in one step, for good
        self._loop = get_hub().loop
        self._outcome: Any = None
        self._woken: Event | None = None

    def left_to_caller(self, patience: float) -> bool:
        """Whether the call is the caller's to make: the thread has not begun it, and now never will, or has not ended it
        within `patience` seconds. Whoever asks again is told the same, unless it ended after all.
        """
        if not self._owner.setdefault(None, False):
            self._call, self._arguments = None, ()  # the thread may take long to come to its place in line
            return True
        if self._outcome is None:
            woken = self._woken = Event()
            if self._outcome is None:  # the thread looks in the other order, so one of the two sees the other
                woken.wait(patience)
        return self._outcome is None

    def result(self) -> T:
        """What the call returned or raised in the thread, which has made it: the call was not `left_to_caller`."""
        result: T = returned(self._outcome)
        return result

    def make(self) -> None:
        """In the thread: make the call, unless it is left to its caller."""
        call = self._call
        if call is None or not self._owner.setdefault(None, True):
            return
        began = monotonic()
        outcome = outcome_of(call, self._arguments)
        self.seconds = monotonic() - began
        self._call, self._arguments = None, ()  # they may be large
        self._outcome = outcome
        woken = self._woken
        if woken is not None:
            with suppress(Exception):  # who waited has left, and its loop is gone
                self._loop.run_callback_threadsafe(woken.set)


class _Line:
    """The calls in line, and the thread that makes them."""

    def __init__(self) -> None:
        self._waiting: deque[Ahead[Any]] = deque()
        self._gate = _new_rlock()  # held for an instant, by those who put and by the thread when it ends
        self._has_thread = False
        self._bell = _allocate_lock()  # free when there is something new in line
        self._bell.acquire()
        self._at_work = _allocate_lock()  # held while a call is made

    def put(self, ahead: Ahead[Any]) -> None:
        with self._gate:
            self._waiting.append(ahead)
            if not self._has_thread:
                try:
                    _start_thread(self._run, ())
                except RuntimeError:  # no more threads: then callers do it
                    self._waiting.clear()
                    return
                self._has_thread = True  # should a signal handler raise before this there may be two: who comes first
            if self._bell.locked():
                self._bell.release()

    def _run(self) -> None:
        while True:
            while self._make_next():
                pass
            if not self._bell.acquire(timeout=_IDLE):
                with self._gate:
                    if not self._waiting:
                        self._has_thread = False
                        return

    def _make_next(self) -> bool:
        with self._at_work:
            try:
                ahead = self._waiting.popleft()
            except IndexError:
                return False
            ahead.make()
        return True

    def stop(self) -> None:
        """Have no further call made; wait for the one that is being made."""
        self._at_work.acquire(timeout=_TO_END)  # and never let go of it


def make_ahead(call: Callable[..., T], *arguments: Any) -> Ahead[T]:
    """Have `call(*arguments)` made by the thread, when it is through with those before it. In a greenlet."""
    ahead = Ahead(call, *arguments)
    _line.put(ahead)
    return ahead


def _forget() -> None:
    """In a forked child there is no such thread, and what stood in line is the parent's."""
    global _line
    _line = _Line()


def _stop() -> None:
    take_note()  # a child's copy of the lock may be held for ever
    _line.stop()


_line = _Line()
call_in_child(_forget)
atexit.register(_stop)
