"""Who wants to know that something ended: callbacks, each called exactly once, none able to hurt another."""

from __future__ import annotations

from collections.abc import Callable

from klife_supervision.events import emit
from klife_supervision.exit_reason import ExitReason

MonitorCallback = Callable[[ExitReason], None]
Cancel = Callable[[], None]


class Monitors:
    """The monitors of one life. Whoever implements `RunningChild` may keep one: `add` is its `monitor`, and
    `fire` its end.

    Callbacks must not wait: they are called in the hub, or by the one who calls `fire`. One that raises is
    logged.
    """

    __slots__ = ("_callbacks", "_reason")

    def __init__(self) -> None:
        self._callbacks: dict[object, MonitorCallback] | None = None
        self._reason: ExitReason | None = None

    @property
    def reason(self) -> ExitReason | None:
        """What `fire` was called with first; None before."""
        return self._reason

    def add(self, callback: MonitorCallback) -> Cancel:
        """Call `callback` with the reason at the end, at once if that has been. Returns a function that
        cancels this.
        """
        if self._callbacks is None:
            self._callbacks = {}
        token = object()
        self._callbacks[token] = callback
        if self._reason is not None:
            self._call_all()

        def cancel() -> None:
            if self._callbacks is not None:
                self._callbacks.pop(token, None)

        return cancel

    def fire(self, reason: ExitReason) -> None:
        """It ended: call everyone. Only the first reason counts; a later call goes on where an exception
        ended an earlier one.
        """
        if self._reason is None:
            self._reason = reason
        self._call_all()

    def _call_all(self) -> None:
        callbacks, reason = self._callbacks, self._reason
        if not callbacks or reason is None:
            return
        # Another thread may add or call meanwhile: the pop decides who calls.
        for token in tuple(callbacks):
            callback = callbacks.pop(token, None)
            if callback is not None:
                call_guarded(callback, reason)


def call_guarded(callback: MonitorCallback, reason: ExitReason) -> None:
    """Call a user's callback; what it raises is logged and goes no further."""
    try:
        callback(reason)
    except Exception as error:  # noqa: BLE001 - the ending of one thing is not undone by who watches it
        name = getattr(callback, "__qualname__", type(callback).__name__)
        emit("error", "monitor callback raised", callback=name, reason=str(reason), error=error)
