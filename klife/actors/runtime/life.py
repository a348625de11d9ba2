"""`Life`: what remains to be known of an actor when the actor itself is gone.

pykka's references hold their actor weakly. Who wants to know why an actor ended, or to be told when it does,
asks its life, which the reference holds strongly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import get_hub

from klife.actors.runtime.latch import Latch
from klife_supervision import ExitReason

Monitor = Callable[[ExitReason], None]


class Life:
    """Start, end and reason of one actor."""

    __slots__ = ("greenlet", "started", "ended", "start_error", "exit_reason", "asked_reason", "stop_replies", "_monitors")

    def __init__(self) -> None:
        self.greenlet: Any = None
        self.started: Latch = Latch()
        self.ended: Latch = Latch()
        self.start_error: BaseException | None = None
        self.exit_reason: ExitReason | None = None
        self.asked_reason: ExitReason | None = None
        self.stop_replies: list[Any] = []
        self._monitors: list[Monitor] = []

    @property
    def is_monitored(self) -> bool:
        """Whether anybody will be told of the end."""
        return bool(self._monitors)

    def monitor(self, callback: Monitor) -> Callable[[], None]:
        """Call `callback(reason)` once, in a loop callback of its own, when the actor has ended (soon, if it
        has). Returns a cancel.
        """
        if self.exit_reason is not None:
            get_hub().loop.run_callback(callback, self.exit_reason)
            return lambda: None
        self._monitors.append(callback)

        def cancel() -> None:
            if callback in self._monitors:
                self._monitors.remove(callback)

        return cancel

    def end(self, reason: ExitReason) -> None:
        """The actor has ended: tell everybody. Called again, it goes on where an exception of a signal
        handler ended it.
        """
        self.exit_reason = reason
        if not self.started.is_set:
            self.start_error = reason.exception or RuntimeError(f"the actor ended before it had started: {reason}")
            self.started.set()
        self.ended.set()
        while self._monitors:
            get_hub().loop.run_callback(self._monitors.pop(0), reason)
