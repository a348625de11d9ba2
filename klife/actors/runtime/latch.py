"""`Latch`: something that happens once, and that greenlets and threads wait for.

It is under every wait of the library: a future's value and a batch's outcome are latches. What the stock
answers cost is why it exists: a `gevent.event.Event` spends a link and a callback per waiter, and a
`threading.Event` blocks the hub when nothing is monkey-patched. A latch keeps its greenlet waiters in one
plain list, and **one** loop callback wakes those of all latches that were set in a turn of the loop.

Who may wait:

- greenlets of the hub the latch was made for (its *home*) park in that hub;
- greenlets of another hub park in theirs, which goes on running;
- a thread without a hub waits on a real lock, taken from below monkey patching, as a thread does.

Hubs are compared, and not threads' numbers: the system gives the number of a thread that ended to the next
one.

Nobody waits in a hub, nor in a greenlet that is marked as one that never does (`never_waits`): what is waited
for may need it.

Anyone may set it, from any thread. A waiter that leaves early (timeout, kill) takes itself off the list, also
when the wake-up is already scheduled: a stray switch would otherwise end some later, unrelated wait of that
greenlet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import TIMEOUT_MAX
from time import monotonic
from typing import Any

from gevent import getcurrent
from gevent._hub_local import get_hub_if_exists
from gevent.monkey import get_original

from klife import cython_shim as cython
from klife.actors.runtime.forked import is_forked, take_note
from klife_supervision.let_hub_run import TURN_SECONDS, let_hub_run

if cython.compiled:
    import cython

get_thread_ident: Callable[[], int] = get_original("_thread", "get_ident")
_allocate_lock: Callable[[], Any] = get_original("_thread", "allocate_lock")
_STOOD_STILL = 1.0  # seconds that a wait ends too late by: the hub did not run
_TURNS = 4  # of the loop, for sockets to be read and answers to be judged
# Held for an instant, by the first thread that waits for a latch; a signal handler may wait for it, too, at
# just that moment.
_first_in_thread = get_original("_thread", "RLock")()


class Latch:
    """Set once, waited for by any number of greenlets and threads."""

    # Most latches (a batch each) are set before anybody waits: as class attributes, what they never set costs
    # nothing. C's fields have these values to begin with.
    if not cython.compiled:
        is_set: bool = False
        _wakeups: Wakeups | None = None
        _greenlets: list[Any] | None = None
        _locks: list[Any] | None = None

    def __init__(self, home: Any = None) -> None:
        """`home` is a hub; by default the calling thread's, if it has one."""
        self._home = get_hub_if_exists() if home is None else home

    def set(self) -> None:
        """Let every waiter go, and every later wait return at once. Never blocks; setting twice does nothing."""
        self.is_set = True
        if self._greenlets:
            wakeups = self._wakeups
            assert wakeups is not None
            if get_hub_if_exists() is self._home:
                wakeups.add(self._greenlets)
            else:
                with suppress(ValueError):  # that loop was destroyed, and they with it
                    wakeups.loop.run_callback_threadsafe(wakeups.add, self._greenlets)
        locks = self._locks
        while locks:
            try:
                lock = locks.pop(0)
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
        if timeout is not None and not timeout > 0:  # so that nan is over, too: a timer with it holds the loop for good
            return False
        hub = get_hub_if_exists()
        if hub is None:
            return self._wait_elsewhere(None, None, timeout)
        current = getcurrent()
        if current is hub:
            raise RuntimeError("waiting inside the gevent hub would stop every greenlet; wait in a greenlet (gevent.spawn)")
        if getattr(current, "klife_never_waits", False):
            raise RuntimeError(
                "waiting for klife in an actor of klife (a destructor, say, or a signal handler ran in its greenlet) could stop what "
                "is waited for; wait in a greenlet of your own (gevent.spawn)"
            )
        if hub is not self._home:
            return self._wait_elsewhere(hub, current, timeout)
        waiters = self._greenlets
        if waiters is None:
            self._wakeups = _wakeups_of(hub)
            waiters = self._greenlets = []
        try:  # for all of it: a signal handler may raise after any call, and nothing must switch to the caller later
            waiters.append(current)
            is_set = self._wait_until(None if timeout is None else monotonic() + timeout, hub, current)
        finally:
            if current in waiters:
                waiters.remove(current)
        return is_set

    def _wait_until(self, deadline: float | None, hub: Any, current: Any) -> bool:
        if deadline is None:
            while not self.is_set:
                hub.switch()
            return True
        timer = None
        late: list[Any] = []  # the caller, from when its time is up until it goes on
        turns = _TURNS
        try:
            while not self.is_set:
                left = deadline - monotonic()
                if left <= 0:
                    if left < -_STOOD_STILL and turns:  # what this waits for may have arrived, and nobody had a turn to read it
                        turns -= 1
                        let_hub_run()
                        continue
                    break
                if timer is None or not timer.active:  # at first, and when libev fired a little early: never leave before the time
                    if timer is not None:
                        timer.close()
                    timer = hub.loop.timer(left)
                    timer.start(_time_is_up, late, current)
                hub.switch()
            return self.is_set
        finally:
            try:
                if timer is not None:
                    timer.stop()
                    timer.close()
            finally:  # as above
                late.clear()

    def _wait_elsewhere(self, hub: Any, current: Any, timeout: float | None) -> bool:
        """Not at home: in `hub`, whose greenlet `current` is, or in a thread without one."""
        return self._wait_in_thread(timeout) if hub is None else self._wait_in_hub(hub, current, timeout)

    def _wait_in_thread(self, timeout: float | None) -> bool:
        lock = _allocate_lock()
        lock.acquire()
        locks = self._list_for(lock)
        # The setter raises the flag first and looks at the list second; we do it the other way round, so one
        # of us sees the other.
        if not self.is_set:
            lock.acquire(True, -1 if timeout is None else min(timeout, TIMEOUT_MAX))
        with suppress(ValueError):  # the setter took it
            locks.remove(lock)
        return self.is_set

    def _wait_in_hub(self, hub: Any, current: Any, timeout: float | None) -> bool:
        waker = _Waker(hub, current)
        try:
            waker.watcher.start(waker.wake)
            self._list_for(waker)
            is_set = self._wait_until(None if timeout is None else monotonic() + timeout, hub, current)  # looks at the flag first
        finally:  # without a function of our own, in which a signal handler might raise before it does anything
            waker.greenlet = None
            waker.watcher.stop()
            waker.watcher.close()
            if self._locks is not None:
                with suppress(ValueError):
                    self._locks.remove(waker)
        return is_set

    def _list_for(self, lock: Any) -> list[Any]:
        with _first_in_thread:  # another thread may be the first at the same time
            if self._locks is None:
                self._locks = []
        self._locks.append(lock)
        return self._locks


class _Waker:
    """Switches to `greenlet`, of another `hub`, as if its lock had been released. Its `watcher` keeps that hub's loop
    running while it is started.
    """

    __slots__ = ("greenlet", "watcher", "_hub")

    def __init__(self, hub: Any, greenlet: Any) -> None:
        self.greenlet = greenlet
        self.watcher = hub.loop.async_()
        self._hub = hub

    def wake(self) -> None:
        if self.greenlet is not None:
            self.greenlet.switch()

    def release(self) -> None:
        """From any thread."""
        if get_hub_if_exists() is self._hub:
            self._hub.loop.run_callback(self.wake)  # as soon as at home: before what is only true for a moment has passed
            return
        with suppress(Exception):  # it has left, or its hub is gone
            self.watcher.send()


class Wakeups:
    """Greenlets that one thread's hub is about to switch to: lists of waiters, in the order their latches
    were set.

    Those that are woken in one turn of the loop share it, also if they are woken one after the other: the
    loop goes on calling what was asked for meanwhile before it looks at a timer.
    """

    __slots__ = ("loop", "_poll", "_polling", "_lists", "_scheduled", "_budget", "_left")

    def __init__(self, loop: Any) -> None:
        self.loop: Any = loop
        self._poll = loop.idle(priority=loop.MAXPRI)
        self._polling = False  # sockets and timers come first
        self._lists: deque[list[Any]] = deque()
        self._scheduled = False
        self._budget = -1  # of the loop
        self._left = 0.0  # seconds of it

    def add(self, waiters: list[Any]) -> None:
        """Switch to each of `waiters` that is on the list then, after what is ready now. Only in the loop's
        thread.
        """
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
        if turn != self._budget:
            self._budget, self._left = turn, TURN_SECONDS
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

    def look_again(self) -> None:
        """In the hub: an exception that a signal handler raised may have ended the callback that was to wake
        them.
        """
        if self._lists and not self._polling:
            self._run()

    def _polled(self) -> None:
        self._poll.stop()
        self._polling = False
        self.loop.run_callback(self._run)


def _time_is_up(late: list[Any], greenlet: Any) -> None:
    """In the hub. Timers that are due are all called in one turn of the loop, and what each of ten thousand
    greenlets does next would be done in that turn, too.
    """
    late.append(greenlet)
    _wakeups_of(get_hub_if_exists()).add(late)


@cython.cfunc
@cython.returns(Wakeups)
def _wakeups_of(hub: Any) -> Wakeups:
    """Those of the calling thread's hub, which keeps them."""
    wakeups: Wakeups | None = getattr(hub, "klife_wakeups", None)
    if wakeups is None:
        wakeups = hub.klife_wakeups = Wakeups(hub.loop)
    return wakeups


def look_again_at_wakeups(hub: Any) -> None:
    """Wake those of `hub`, which calls this, whose wake-up was lost."""
    wakeups: Wakeups | None = getattr(hub, "klife_wakeups", None)
    if wakeups is not None:
        wakeups.look_again()


def never_waits(greenlet: Any) -> None:
    """Have every wait refused that `greenlet` begins: others wait for it."""
    greenlet.klife_never_waits = True


def may_switch() -> bool:
    """Whether the caller may let other greenlets run: not in the hub, nor in a greenlet that never waits."""
    current = getcurrent()
    return current is not get_hub_if_exists() and not getattr(current, "klife_never_waits", False)
