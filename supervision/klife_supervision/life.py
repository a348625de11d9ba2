"""A supervisor's table: a row per child, and in it the one life that child is living.

The loop alone changes rows; everyone may read them. An exit message names the life that ended, so that one
which arrives after the child was stopped or replaced is recognised as old.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

import gevent
from gevent.event import Event

from klife_supervision.child import RunningChild
from klife_supervision.child_spec import ChildSpec
from klife_supervision.events import emit
from klife_supervision.exit_reason import ExitReason
from klife_supervision.mailbox import HomeThread

ChildState = Literal["starting", "running", "restarting", "stopping", "stopped"]

KILL_GRACE = 5.0
"""Seconds a killed child has to end. OTP's kill cannot be refused; a greenlet that swallows GreenletExit, or
never waits, can.
"""


class Child:
    """A row: the spec, what is running for it now, and its history."""

    __slots__ = ("attempt", "life", "restarts", "retry", "spec", "state")

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.state: ChildState = "stopped"
        self.restarts = 0
        self.attempt = 0
        self.life: Life | None = None
        self.retry: Retry | None = None

    def cancel_retry(self) -> None:
        """Forget a restart that was to come."""
        retry, self.retry = self.retry, None
        if retry is not None:
            retry.cancel()


class Retry:
    """A restart to come, as a message to the supervisor itself. `reason` is why; `counted` whether the window
    knows of it.
    """

    __slots__ = ("_timer", "child", "counted", "reason")

    def __init__(self, child: Child, reason: ExitReason, *, counted: bool) -> None:
        self.child = child
        self.reason = reason
        self.counted = counted
        self._timer: Any = None

    def after(self, seconds: float, put: Callable[[Retry], None]) -> None:
        """`put` this after `seconds`."""
        self._timer = gevent.get_hub().loop.timer(seconds)
        self._timer.start(put, self, update=True)

    def cancel(self) -> None:
        """Stop the clock; the message, should it be in the mailbox already, is no longer the child's and is
        ignored.
        """
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None


class Life:
    """One life of a child: from the return of its start function to its end."""

    __slots__ = ("_home", "_tell", "_waiter", "child", "handle", "reason", "running", "started_at")

    def __init__(self, child: Child, handle: Any, running: RunningChild, home: HomeThread, tell: Callable[[Life], None]) -> None:
        self.child = child
        self.handle = handle
        self.running = running
        self.reason: ExitReason | None = None
        self.started_at = time.monotonic()
        self._home = home
        self._tell = tell
        self._waiter: Callable[[], None] | None = None
        running.monitor(self._monitored)

    def _monitored(self, reason: ExitReason) -> None:
        if self._home.is_here():
            self._end(reason)
        else:
            self._home.soon(self._end, reason)

    def _end(self, reason: ExitReason) -> None:
        if self.reason is None:
            self.reason = reason
            if self._waiter is not None:
                self._waiter()
            self._tell(self)

    def look(self) -> None:
        """If it has ended and that was not told here, take note of it; if it lives, let it look for what it
        was not told.
        """
        if self.reason is not None:
            return
        try:
            reason = self.running.exit_reason
            if reason is None:
                look_again = getattr(self.running, "look_again", None)
                if look_again is not None:
                    look_again()
        except Exception as error:  # noqa: BLE001 - one child that cannot be asked does not keep the others from being looked at
            emit("error", "child cannot be looked at", child=self.child.spec.id, error=error)
        else:
            if reason is not None:
                self._end(reason)

    def ask(self, reason: ExitReason) -> None:
        """Ask it to end; if asking fails, kill it."""
        try:
            self.running.shutdown(reason)
        except Exception as error:  # noqa: BLE001 - one child that cannot be asked does not keep the others from being stopped
            emit("error", "child cannot be asked to shut down; it is killed", child=self.child.spec.id, error=error)
            self.kill()

    def kill(self) -> None:
        """End it brutally."""
        try:
            self.running.kill()
        except Exception as error:  # noqa: BLE001 - as above; waiting for it will tell
            emit("error", "child cannot be killed", child=self.child.spec.id, error=error)

    def on_end(self, callback: Callable[[], None] | None) -> None:
        """Call `callback`, in this life's thread, when it ends; None calls nobody."""
        self._waiter = callback


def terminate(lives: Iterable[Life], reason: ExitReason) -> None:
    """End all of them at once, each as its spec's `shutdown` says, and wait until that has happened.

    Waits no longer than each allows; one that survives its kill for KILL_GRACE seconds is abandoned.
    """
    living = [life for life in lives if life.reason is None]
    by_patience: dict[float, list[Life]] = {}
    for life in living:
        shutdown = life.child.spec.shutdown
        if shutdown == "brutal_kill":
            life.kill()
        else:
            life.ask(reason)
            by_patience.setdefault(float("inf") if shutdown == "infinity" else float(shutdown), []).append(life)
    asked_at = time.monotonic()
    for patience in sorted(by_patience):
        group = by_patience[patience]
        if not _wait(group, None if patience == float("inf") else asked_at + patience):
            for life in group:
                if life.reason is None:
                    life.kill()
    wait_killed(living)


def wait_killed(lives: Iterable[Life]) -> None:
    """Wait for lives that were killed; those that survive that for KILL_GRACE seconds are abandoned, loudly.

    A supervisor is waited for without a limit: it takes its own children down, each within a limit.
    """
    living = [life for life in lives if life.reason is None]
    _wait([life for life in living if life.child.spec.type == "supervisor"], None)
    _wait(living, time.monotonic() + KILL_GRACE)
    for life in living:
        if life.reason is None:
            emit("error", "child survived its kill and is abandoned", child=life.child.spec.id, type=type(life.handle).__name__)


def _wait(lives: list[Life], deadline: float | None) -> bool:
    """Wait until all have ended, or the deadline; true when all have."""
    living = [life for life in lives if life.reason is None]
    left = len(living)
    all_ended = Event()

    def one_ended() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            all_ended.set()

    for life in living:
        life.on_end(one_ended)
    try:
        if left:
            all_ended.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
    finally:
        for life in living:
            life.on_end(None)
    return all(life.reason is not None for life in living)
