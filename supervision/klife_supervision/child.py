"""What can be supervised: one small structural protocol, and what makes greenlets and stock pykka actors fit
it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeGuard, runtime_checkable

import gevent

from klife_supervision.errors import InvalidChild
from klife_supervision.exit_reason import ExitReason
from klife_supervision.mailbox import HomeThread
from klife_supervision.monitors import Cancel, MonitorCallback
from klife_supervision.pykka_actor import PykkaActorChild, is_pykka_ref


@runtime_checkable
class RunningChild(Protocol):
    """Something that runs, can be asked to end, and tells why it ended.

    A `state` attribute (a str), where there is one, is shown in the supervisor's tree. A `look_again` method
    is called every few seconds, in the hub, and must not wait: to go on where a wake-up was lost
    (`second_look.py`).
    """

    def monitor(self, callback: Callable[[ExitReason], None], /) -> Callable[[], None]:
        """Call `callback` exactly once, when it ended: soon if it has already. Returns a function that
        cancels this.

        The callback does not wait and may come from any thread.
        """

    def shutdown(self, reason: ExitReason | None = None, /) -> None:
        """Ask for an orderly end. Returns at once."""

    def kill(self) -> None:
        """End it brutally: its exit reason is `killed`. Returns at once."""

    @property
    def exit_reason(self) -> ExitReason | None:
        """Why it ended; None while it lives."""


_ASKED = "_klife_supervision_asked"


class GreenletChild:
    """A `gevent.Greenlet` as a child. `GreenletExit` is how it is asked to end, and how it is killed."""

    __slots__ = ("_greenlet",)

    def __init__(self, greenlet: gevent.Greenlet[..., Any]) -> None:
        self._greenlet: Any = greenlet

    @property
    def exit_reason(self) -> ExitReason | None:
        """Why it ended, from what it returned or raised."""
        greenlet = self._greenlet
        if not greenlet.ready():
            return None
        if greenlet.exception is not None:
            return ExitReason.crashed(greenlet.exception)
        if isinstance(greenlet.value, gevent.GreenletExit):
            return getattr(greenlet, _ASKED, None) or ExitReason.killed()
        return ExitReason.normal()

    def monitor(self, callback: MonitorCallback) -> Cancel:
        """See `RunningChild.monitor`."""

        def ended(_greenlet: Any) -> None:
            callback(self.exit_reason or ExitReason.killed())

        self._greenlet.rawlink(ended)

        def cancel() -> None:
            self._greenlet.unlink(ended)

        return cancel

    def shutdown(self, reason: ExitReason | None = None) -> None:
        """Raise `GreenletExit` where it waits."""
        self._throw(reason or ExitReason.shutdown())

    def kill(self) -> None:
        """Raise `GreenletExit` where it waits, and call its end `killed`."""
        self._throw(ExitReason.killed())

    def _throw(self, reason: ExitReason) -> None:
        # Kept on the greenlet: whoever asked, all who watch see the same reason.
        setattr(self._greenlet, _ASKED, reason)
        home = HomeThread(self._greenlet.parent)
        if home.is_here():
            self._greenlet.kill(block=False)
        else:  # linked to a pykka actor that ended in a thread of its own, which wakes no event loop but so
            home.soon(self._greenlet.kill, gevent.GreenletExit, False)


def _fits(value: Any) -> TypeGuard[RunningChild]:
    # isinstance() with a protocol would do, at 100 µs a time.
    if isinstance(value, type):
        return False
    return hasattr(value, "exit_reason") and all(callable(getattr(value, name, None)) for name in ("monitor", "shutdown", "kill"))


def as_running_child(value: Any) -> RunningChild:
    """`value` itself where it fits the protocol, or an adapter around it. Raises InvalidChild for anything
    else.
    """
    if isinstance(value, gevent.Greenlet):
        return GreenletChild(value)
    if _fits(value):
        return value
    if is_pykka_ref(value):
        return PykkaActorChild.of(value)
    raise InvalidChild(
        f"start returned {type(value).__name__}, which cannot be supervised: expected a gevent.Greenlet, a pykka ActorRef, "
        "a Supervisor, or an object with monitor(callback), shutdown(reason), kill() and exit_reason "
        "(ChildSpec.from_callable runs a plain function)"
    )
