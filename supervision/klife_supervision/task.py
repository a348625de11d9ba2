"""A function running in a greenlet, as a child: what `ChildSpec.from_callable` starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gevent

from klife_supervision.exit_reason import ExitReason
from klife_supervision.monitors import Cancel, MonitorCallback, Monitors


class Task:
    """`function(*args, **kwargs)` in a greenlet, ended by its return, by what it raises, or by
    `GreenletExit`.
    """

    __slots__ = ("_args", "_asked", "_exception", "_function", "_greenlet", "_kwargs", "_monitors")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._function = function
        self._args = args
        self._kwargs = kwargs
        self._monitors = Monitors()
        self._asked: ExitReason | None = None
        self._exception: BaseException | None = None
        self._greenlet = gevent.spawn(self._run)
        # The link, and not the end of _run, is the end: a greenlet killed before its first turn never runs.
        self._greenlet.rawlink(self._ended)

    def __repr__(self) -> str:
        name = getattr(self._function, "__qualname__", type(self._function).__name__)
        return f"<Task {name} {self.exit_reason or 'running'}>"

    @property
    def exit_reason(self) -> ExitReason | None:
        """Why it ended; None while it runs."""
        return self._monitors.reason or (self._reason() if self._greenlet.ready() else None)

    def monitor(self, callback: MonitorCallback) -> Cancel:
        """See `RunningChild.monitor`."""
        return self._monitors.add(callback)

    def shutdown(self, reason: ExitReason | None = None) -> None:
        """Raise `GreenletExit` where the function waits."""
        self._throw(reason or ExitReason.shutdown())

    def kill(self) -> None:
        """Raise `GreenletExit` where the function waits, and call its end `killed`."""
        self._throw(ExitReason.killed())

    def _throw(self, reason: ExitReason) -> None:
        self._asked = reason
        self._greenlet.kill(block=False)

    def _run(self) -> None:
        try:
            self._function(*self._args, **self._kwargs)
        except gevent.GreenletExit:
            raise
        except KeyboardInterrupt as error:
            # Meant for the program, whichever greenlet it hit: gevent hands it to the main greenlet.
            self._exception = error
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a child raises ends that child alone, and its supervisor tells why
            # Without this frame, whose `self` leads back to the exception: a crash leaves no garbage for the
            # cycle collector.
            self._exception = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)

    def _ended(self, _greenlet: Any) -> None:
        self._monitors.fire(self._reason())

    def _reason(self) -> ExitReason:
        if self._exception is not None:
            return ExitReason.crashed(self._exception)
        if isinstance(self._greenlet.value, gevent.GreenletExit):
            return self._asked or ExitReason.killed()
        return ExitReason.normal()
