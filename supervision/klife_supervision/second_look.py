"""A second look, every few seconds, at what the loop should have told once.

Ends and wake-ups are callbacks of the loop, each called once. Python runs the handlers of `signal.signal`
between any two instructions: what one of them raises may end such a callback before it has done anything, and
gevent prints the exception and goes on. Nobody would ever know of that end. So the hub looks again: at a
supervisor whose greenlet is over, at children that have ended, at messages nobody was woken for. It asks each
for what it knows anyway, and finds nothing unless something was lost. The timer repeats, so that a look that
is itself ended by an exception is followed by the next. It does not keep the loop running.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

LOOK_SECONDS = 5.0
"""Seconds between two looks: how long at most an end stays unknown that was not told."""


class SecondLook:
    """Calls `look` in the hub of the greenlet that made it, every LOOK_SECONDS, until stopped."""

    __slots__ = ("_timer",)

    def __init__(self, look: Callable[[], object]) -> None:
        self._timer: Any = gevent.get_hub().loop.timer(LOOK_SECONDS, LOOK_SECONDS, ref=False)
        self._timer.start(look)

    def stop(self) -> None:
        """Look no more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.close()
