"""`Latch`: something that happens once, and that greenlets and threads wait for.

It is under every wait of the library: a future's value and a batch's outcome are latches. What the stock answers cost is why it
exists: a `gevent.event.Event` spends a link and a callback per waiter, and a `threading.Event` blocks the hub when nothing is
monkey-patched. A latch keeps its greenlet waiters in one plain list, and **one** loop callback wakes those of all latches that were set
in a turn of the loop.

Who may wait:

- greenlets of the thread the latch was made for (its *home*) park in that thread's hub;
- any other OS thread waits on a real lock, taken from below monkey patching. Such a wait blocks that whole thread, as a thread's
  waits do; it does not touch the home hub.

Anyone may set it, from any thread. A waiter that leaves early (timeout, kill) takes itself off the list, also when the wake-up is
already scheduled: a stray switch would otherwise end some later, unrelated wait of that greenlet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import TIMEOUT_MAX
from time import monotonic
from typing import Any

from gevent import get_hub, getcurrent
from gevent.monkey import get_original

from klife.actors.runtime.forked import is_forked, take_note
from klife.class_defaults import set_defaults
from klife_supervision.breathe import TURN_SECONDS

get_thread_ident: Callable[[], int] = get_original("_thread", "get_ident")
_allocate_lock: Callable[[], Any] = get_original("_thread", "allocate_lock")
_first_in_thread = _allocate_lock()  # held for an instant, by the first thread that waits for a latch


class Latch:
    """Set once, waited for by any number of greenlets and threads."""

    is_set: bool
    _wakeups: Wakeups | None
    _greenlets: list[Any] | None
    _locks: list[Any] | None

    def __init__(self, home: int | None = None) -> None:
        self._home = get_thread_ident() if home is None else home

    def set(self) -> None:
        """Let every waiter go, and every later wait return at once. Never blocks; setting twice does nothing."""
        self.is_set = True
        if self._greenlets:
            wakeups = self._wakeups
            assert wakeups is not None
            if get_thread_ident() == self._home:
                wakeups.add(self._greenlets)
            else:
                wakeups.loop.run_callback_threadsafe(wakeups.add, self._greenlets)
        locks = self._locks
        while locks:
            try:
                lock = locks.pop()
            except IndexError:  # the last one left by itself at this very moment
                return
            lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until set, at most `timeout` seconds; return whether it is set."""
        if self.is_set:
            return True
        if is_forked():
            take_note()
            if self.is_set:
                return True
        if timeout is not None and timeout <= 0:
            return False
        if get_thread_ident() != self._home:
            return self._wait_in_thread(timeout)
        hub = get_hub()
        current = getcurrent()
        if current is hub:
            raise RuntimeError("waiting inside the gevent hub would stop every greenlet; wait in a greenlet (gevent.spawn)")
        waiters = self._greenlets
        if waiters is None:
            self._wakeups = _wakeups_of(self._home, hub.loop)
            waiters = self._greenlets = []
        waiters.append(current)
        try:
            if timeout is not None:
                return self._wait_until(monotonic() + timeout, hub, current)
            while not self.is_set:
                hub.switch()
            return True
        finally:
            if current in waiters:
                waiters.remove(current)

    def _wait_until(self, deadline: float, hub: Any, current: Any) -> bool:
        timer = None
        try:
            while not self.is_set:
                left = deadline - monotonic()
                if left <= 0:
                    break
                if timer is None or not timer.active:  # at first, and when libev fired a little early: never leave before the time
                    if timer is not None:
                        timer.close()
                    timer = hub.loop.timer(left)
                    timer.start(current.switch)
                hub.switch()
            return self.is_set
        finally:
            if timer is not None:
                timer.stop()
                timer.close()

    def _wait_in_thread(self, timeout: float | None) -> bool:
        lock = _allocate_lock()
        lock.acquire()
        with _first_in_thread:  # another thread may be the first at the same time
            if self._locks is None:
                self._locks = []
        locks = self._locks
        locks.append(lock)
        # The setter raises the flag first and looks at the list second; we do it the other way round, so one of us sees the other.
        if not self.is_set:
            lock.acquire(True, -1 if timeout is None else min(timeout, TIMEOUT_MAX))
        with suppress(ValueError):  # the setter took it
            locks.remove(lock)
        return self.is_set


# Most latches (a batch each) are set before anybody waits, and never need values of their own.
set_defaults(Latch, is_set=False, _wakeups=None, _greenlets=None, _locks=None)


class Wakeups:
    """Greenlets that one thread's hub is about to switch to: lists of waiters, in the order their latches were set.

    Those that are woken in one turn of the loop share it, also if they are woken one after the other: the loop goes on calling what
    was asked for meanwhile before it looks at a timer.
    """

    __slots__ = ("loop", "_poll", "_polling", "_lists", "_scheduled", "_turn", "_left")

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self._poll = loop.idle(priority=loop.MAXPRI)
        self._polling = False  # sockets and timers come first
        self._lists: deque[list[Any]] = deque()
        self._scheduled = False
        self._turn = -1  # of the loop
        self._left = 0.0  # seconds of it

    def add(self, waiters: list[Any]) -> None:
        """Switch to each of `waiters` that is on the list then, after what is ready now. Only in the loop's thread."""
        self._lists.append(waiters)
        if not self._scheduled:
            self._scheduled = True
            self.loop.run_callback(self._run)

    def _run(self) -> None:
        if self._polling:
            return
        self._scheduled = False
        lists, self._lists = self._lists, deque()  # what is set meanwhile comes after what is ready now
        began, turn = monotonic(), self.loop.iteration
        if turn != self._turn:
            self._turn, self._left = turn, TURN_SECONDS
        until = began + self._left
        try:
            while lists:
                waiters = lists[0]
                if not waiters:
                    lists.popleft()
                elif monotonic() < until:
                    waiters.pop(0).switch()  # taken off first, so that each is switched to once
                else:
                    break
        finally:  # their share of the turn is over, or a greenlet that is no gevent.Greenlet ended with an exception
            self._left -= monotonic() - began
            if lists:
                self._lists.extendleft(reversed(lists))
                self._scheduled = self._polling = True  # a callback would come before sockets and timers
                self._poll.start(self._polled)

    def _polled(self) -> None:
        self._poll.stop()
        self._polling = False
        self.loop.run_callback(self._run)


_all_wakeups: dict[int, Wakeups] = {}


def _wakeups_of(thread: int, loop: Any) -> Wakeups:
    """Those of the calling thread, whose loop is `loop`: it may have had another, or have been another thread."""
    wakeups = _all_wakeups.get(thread)
    if wakeups is None or wakeups.loop is not loop:
        wakeups = _all_wakeups[thread] = Wakeups(loop)
    return wakeups
