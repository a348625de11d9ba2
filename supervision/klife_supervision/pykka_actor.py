"""A stock pykka actor as a child, known by its shape alone: this library does not import pykka.

Stock pykka tells nobody why, or that, an actor ended. Two facts of its loop are enough to know it without polling:

- `actor_stopped.set()` is called once the actor's fate is settled: from an `except` block when it failed, so that the exception
  is at hand there; outside of one when it stopped in an orderly way.
- after `on_stop`, every envelope left in the inbox is answered with an error. One of ours, put there when the fate is settled,
  tells when the actor is really done.

A thread cannot be ended from outside. So `kill` means: no further message is handled, and the one in hand is not waited for.
Actors that are to be killed in the middle of something belong in greenlets.
"""

from __future__ import annotations

import sys
from typing import Any

from klife_supervision.exit_reason import ExitReason
from klife_supervision.monitors import Cancel, MonitorCallback, Monitors

_SHAPE = ("actor_urn", "actor_inbox", "actor_stopped", "actor_class")


def is_pykka_ref(value: Any) -> bool:
    """Whether `value` looks like a `pykka.ActorRef`."""
    return not isinstance(value, type) and all(hasattr(value, name) for name in _SHAPE)


class ActorEndedUnseen(Exception):
    """A pykka actor had stopped before its supervisor could watch it (a failed `on_start`, for example): why is not known."""


class _LastEnvelope:
    """The envelope whose answer is the actor's end; its shape is what pykka's loop uses of an envelope and of a future."""

    message = None

    def __init__(self, child: PykkaActorChild) -> None:
        self._child = child

    @property
    def reply_to(self) -> _LastEnvelope:
        return self

    def set(self, _value: Any = None) -> None:
        self._child.finished()

    def set_exception(self, exc_info: Any = None) -> None:
        self._child.finished()


class PykkaActorChild:
    """Adapter around a stock `pykka.ActorRef`."""

    def __init__(self, ref: Any) -> None:
        self._ref = ref
        self._monitors = Monitors()
        self._asked: ExitReason | None = None
        self._fate: ExitReason | None = None
        self._set_stopped = ref.actor_stopped.set
        ref.actor_stopped.set = self._stopping
        if ref.actor_stopped.is_set() and self._fate is None:
            self._fate = ExitReason.crashed(ActorEndedUnseen(f"{ref.actor_class.__name__} stopped before it could be watched"))
            self.finished()

    @property
    def exit_reason(self) -> ExitReason | None:
        """Why it ended; None while it lives, `on_stop` included."""
        return self._monitors.reason

    def monitor(self, callback: MonitorCallback) -> Cancel:
        """See `RunningChild.monitor`."""
        return self._monitors.add(callback)

    def shutdown(self, reason: ExitReason | None = None) -> None:
        """Ask it to stop after the messages it has; `on_stop` runs."""
        self._asked = reason or ExitReason.shutdown()
        self._ref.stop(block=False)

    def kill(self) -> None:
        """Let it handle no further message and regard it as ended now; see the module's docstring."""
        if self.exit_reason is not None:
            return
        self._fate = ExitReason.killed()
        self._ref.stop(block=False)
        self._set_stopped()
        # Not through its _stop(), it would stay in pykka's registry for good.
        pykka = sys.modules.get("pykka")
        if pykka is not None:
            pykka.ActorRegistry.unregister(self._ref)
        self.finished()

    def _stopping(self) -> None:
        """In place of `actor_stopped.set`, called in the actor's thread or greenlet."""
        if self._fate is None:
            error = sys.exc_info()[1]
            self._fate = (self._asked or ExitReason.normal()) if error is None else ExitReason.crashed(error)
            self._ref.actor_inbox.put(_LastEnvelope(self))
        self._set_stopped()

    def finished(self) -> None:
        """The actor's loop is over."""
        self._monitors.fire(self._fate or ExitReason.normal())
