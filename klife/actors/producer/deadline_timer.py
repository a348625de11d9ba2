"""`DeadlineTimer`: has the hub look at a producer's deadlines, and asks no actor for it.

The ProducerActor runs in a greenlet, and whatever Python runs there (a destructor, a signal handler, a
handler of either that blocks) can hold it up. A timer of the loop can not be held up by anything but a hub
that does not run at all. After that, the loop goes on for a few turns before a batch in flight is given up:
its answer may lie in the socket.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from klife.actors.runtime.forked import take_note
from klife.actors.settings import NEVER

if TYPE_CHECKING:
    from klife.actors.producer.deadlines import Deadlines
    from klife.actors.producer.terms import Terms

TICK = 1.0
"""Seconds between two looks while anything is pending: also how exactly it is known since when the hub has
not run.
"""

_STOOD_STILL = 2 * TICK  # without a look: not just a busy hub
_TURNS = 4  # of the loop: its sockets are polled, the connection reads, the batcher judges


class DeadlineTimer:
    """Looks at `deadlines` when one passes, and every second before.

    To look is to call `expire(now, answers_may_come)`, which ends what is over and returns whether there is
    more for another turn; and then `looked()`, whatever happened.
    """

    __slots__ = ("_deadlines", "_terms", "_loop", "_expire", "_looked", "_timer", "_turns")

    def __init__(self, deadlines: Deadlines, terms: Terms, expire: Callable[[float, bool], bool], looked: Callable[[], None]) -> None:
        self._deadlines = deadlines
        self._terms = terms
        self._loop = terms.home.loop
        self._expire = expire
        self._looked = looked
        self._timer: Any = None
        self._turns = 0  # that answers to what is late had

    def look_by(self, due: float) -> None:
        """Look at `due` (monotonic seconds) at the latest. Only in the home thread."""
        now = monotonic()
        if self._timer is None:
            self._terms.hub_ran_at = now
        self._set(due, now)

    def hub_runs(self, now: float) -> None:
        """Note that it does, and for how long it did not."""
        terms = self._terms
        still, terms.hub_ran_at = now - terms.hub_ran_at, now
        if still > _STOOD_STILL:
            self._deadlines.stood_still = still

    def stop(self) -> None:
        """Look no more until asked to."""
        self._deadlines.due = NEVER
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.close()

    def _set(self, due: float, now: float) -> None:
        self.stop()
        due = self._deadlines.due = min(due, now + TICK)
        self._timer = self._loop.timer(max(due - now, 0.0))
        self._timer.start(self._look)

    def _look(self) -> None:
        take_note()
        self.stop()
        now = monotonic()
        self.hub_runs(now)
        more = False
        due: float | None = now + TICK
        try:
            more = self._expire(now, self._turns < _TURNS)
            due = now if more else self._deadlines.next_look(now)
        finally:  # whatever a signal handler raised in here
            if more:
                self._turns += 1
            else:
                self._turns, self._deadlines.stood_still = 0, 0.0
            if due is not None:
                self._set(due, now)
            self._looked()
