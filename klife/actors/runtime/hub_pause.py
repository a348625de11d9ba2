"""When a thread's hub did not run: at a Python prompt, in a blocking call, in a long computation.

Timers fire late then, all together, and before anybody has looked at a socket. What they say is true of the
thread and not of the broker, and whoever tells of a timeout tells of the pause. Other threads, which wait for
what only that hub can do, find out within a second (`wait_while_hub_runs`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from gevent._hub_local import get_hub_if_exists

from klife.actors.runtime.home import has_own_thread, thread_of
from klife.actors.settings import NEVER

WORTH_TELLING = 1.0  # seconds; less is what a busy machine or a large garbage collection takes
UNASKED = 0.1
"""Seconds that a thread may well wait before it asks whether the hub runs: most waits are over by then."""

_LOOK = 0.1  # seconds a waiting thread sleeps between two looks
_LOOKS = 9  # without a sign of life; then the hub stands still, `WORTH_TELLING` after the wait began


def pause_told(seconds: float, hub: Any = None) -> str:
    """What to add to an error about a timeout that was noticed `seconds` too late, for want of `hub` (the
    calling thread's); "" if that is not worth telling.
    """
    if seconds < WORTH_TELLING:
        return ""
    return f"{hub_stands_still(get_hub_if_exists() if hub is None else hub, seconds)} meanwhile"


def hub_stands_still(hub: Any, seconds: float) -> str:
    """Why nothing happens, as a clause: `hub` has not run for so long; and what to do."""
    advice = (
        "it runs nothing but this client, so look for what holds it: a hook, or a debugger"
        if has_own_thread(hub)
        else 'use run_in="thread", or keep that thread in gevent (gevent.sleep, Event, joinall), out of prompts, blocking calls and '
        "long computations"
    )
    return f"the hub of {thread_of(hub)} has not run for {seconds:.{0 if seconds >= 10 else 1}f} s; {advice}. klife could do nothing"


class HubStandsStill(Exception):
    """A hub that was waited for has not run for so many `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def wait_while_hub_runs(wait: Callable[[float], bool], hub: Any, limit: float | None) -> bool:
    """Wait, by calling `wait(seconds)`, until it returns True or `limit` seconds are over; return what it
    returned last. For another thread than that of `hub`, which has waited for `UNASKED` seconds already.

    A second is counted in looks, not by the clock: where the whole process stood still, or the machine is so
    busy that nobody gets to run, the hub is not to blame.

    Raises:
        HubStandsStill: the hub has not run for a second, though this thread has.
    """
    deadline = NEVER if limit is None else monotonic() + limit

    def arrived(within: float) -> bool:
        return wait(max(min(within, deadline - monotonic()), 0.0))

    while monotonic() < deadline:
        signs: list[bool] = []
        asked = monotonic()
        with suppress(ValueError):  # its loop was destroyed; whoever waits is told of that
            hub.loop.run_callback_threadsafe(signs.append, True)
        for _ in range(_LOOKS):
            if arrived(_LOOK):
                return True
            if signs or monotonic() >= deadline:
                break
        else:
            raise HubStandsStill(monotonic() - asked + UNASKED)
        if arrived(WORTH_TELLING):
            return True
    return False
