"""`LoopBudget`: whether those who share a turn of the event loop have had their share of it.

Each of several workers does its work in pieces of a millisecond or two, and lets the hub run between them.
But if they all are ready in the same turn of the loop, their pieces add up, and whoever waits for a timer or
a socket waits for all of them. So they ask the same `LoopBudget`.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from gevent._hub_local import get_hub_if_exists

from klife.actors.runtime.latch import may_switch
from klife_supervision.let_hub_run import TURN_SECONDS, let_hub_run

AT_ONCE = 1000
"""Records that are looked at, and no more, without letting the hub run: one or two milliseconds."""


def let_home_run(home: Any) -> None:
    """In the middle of long work: let the hub `home` run, if the caller is a greenlet of it."""
    if get_hub_if_exists() is home and may_switch():
        let_hub_run()


class LoopBudget:
    """The present turn of `loop`, as far as those who ask are concerned."""

    __slots__ = ("_loop", "_number", "_began")

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._number = -1
        self._began = 0.0

    def is_over(self) -> bool:
        """True once the callers together have used TURN_SECONDS of this loop iteration, counted from the
        first call in it.
        """
        now, number = monotonic(), self._loop.iteration
        if number != self._number:
            self._number, self._began = number, now
        return now - self._began > TURN_SECONDS
