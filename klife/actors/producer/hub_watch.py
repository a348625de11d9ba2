"""`HubWatch`: makes sure that the hub runs, though records are produced in a tight loop.

Producing yields to nobody, so a greenlet that does nothing else would keep everybody waiting, its own records
included, until the buffer is full. The first record of each millisecond has the watch look (of a
`produce_batch`, one of the next 64): it leaves a mark that the hub wipes out when it runs, and lets it run
where the mark is still there a millisecond later.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time_ns

from gevent import get_hub
from gevent._hub_local import get_hub_if_exists

from klife.actors.runtime.forked import take_note
from klife.actors.runtime.home import has_own_thread
from klife.actors.runtime.latch import may_switch
from klife.actors.settings import HUB_RUNS_EVERY_MS
from klife_supervision.let_hub_run import let_hub_run

_EVERY = HUB_RUNS_EVERY_MS / 1000


class HubWatch:
    """When the hub ran, as far as one producer's callers know. Times are monotonic seconds, where nothing
    else is said.
    """

    def __init__(self) -> None:
        self.looked_ms: int = 0  # wall-clock millisecond of the last look, because a record's time is at hand
        self.stamp: int = 0  # what a record's time is now: one object for all of a millisecond
        self.due: float = 0.0  # when a caller in a tight loop lets the hub run
        self._marked = False
        self._hub = get_hub()
        self._loop = self._hub.loop
        self._has_own_thread = has_own_thread(self._hub)
        self.on_other_hub: Callable[[], None] = lambda: None  # told when the caller's hub is not this one, but took its thread's number

    def look(self, now_ms: int, now: float) -> bool:
        """A millisecond has begun in which records are produced: let the hub run if it is due. Return whether
        others may have acted.

        To be called before the record is queued: what is thrown into a greenlet that yields here (a kill, a
        timeout) must mean that nothing was.
        """
        self.looked_ms = self.stamp = now_ms
        if get_hub_if_exists() is not self._hub:
            if self._has_own_thread:
                return False  # which runs it; threads that produce share the processor by the interpreter's rule
            self.on_other_hub()
            return True
        if now < self.due:
            return False
        if self._marked:  # since some milliseconds, in which the hub did not run
            if not may_switch():
                return False  # a callback of the loop can not wait for the loop, and nobody expects an actor to switch here
            self._hub_ran(now)  # at once, so that those who produce during this turn do not ask for another
            let_hub_run()
            take_note()
            self._hub_ran(monotonic())
            self.stamp = time_ns() // 1_000_000  # others may have taken their time
            return True
        self._marked = True
        self._loop.run_callback(self._wipe_mark)
        self.due = now + _EVERY
        return False

    def batch_opened(self) -> None:
        """As if a millisecond had begun, when the hub is due: a wall clock that stands still would never say
        so.
        """
        self.looked_ms = -1

    def _wipe_mark(self) -> None:
        self._marked = False

    def _hub_ran(self, now: float) -> None:
        """The hub ran at `now`, so no caller needs to let it for some milliseconds."""
        self._marked = False
        self.due = now + _EVERY
