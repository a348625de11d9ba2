"""A stock pykka actor as a child, known by its shape alone: this library does not import pykka.

Stock pykka tells nobody why, or that, an actor ended. Two facts of its loop are enough to know it without
polling:

- `actor_stopped.set()` is called once the actor's fate is settled: from an `except` block when it failed, so
  that the exception is at hand there; outside of one when it stopped in an orderly way. So we take the place
  of that event.
- after `on_stop`, every envelope left in the inbox is answered with an error. One of ours, put there when the
  fate is settled, tells when the actor is really done.

A thread cannot be ended from outside. So `kill` means: no further message is handled, and the one in hand is
not waited for. Actors that are to be killed in the middle of something belong in greenlets.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from klife_supervision.exit_reason import ExitReason
from klife_supervision.monitors import Cancel, MonitorCallback, Monitors

_SHAPE = ("actor_urn", "actor_inbox", "actor_stopped", "actor_class", "_actor_weakref")


def is_pykka_ref(value: Any) -> bool:
    """Whether `value` looks like a `pykka.ActorRef`."""
    return not isinstance(value, type) and all(hasattr(value, name) for name in _SHAPE)


class ActorEndedUnseen(Exception):
    """A pykka actor had stopped before its supervisor could watch it (a failed `on_start`, for example): why
    is not known.
    """


class _LastEnvelope:
    """The envelope whose answer is the actor's end; its shape is what pykka's loop uses of an envelope and of
    a future.
    """

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


class _Stopped:
    """In the place of an actor's `actor_stopped`, a `threading.Event`: the same, and `set` tells the child
    first.
    """

    def __init__(self, event: Any, child: PykkaActorChild) -> None:
        self._event = event
        self.child = child
        self.is_set = event.is_set
        self.wait = event.wait

    def set(self) -> None:
        self.child.stopping(sys.exc_info()[1])
        self._event.set()


class PykkaActorChild:
    """Adapter around a stock `pykka.ActorRef`. One per actor, see `of`: whoever ends it, all who watch see
    the same reason.
    """

    @classmethod
    def of(cls, ref: Any) -> PykkaActorChild:
        """The adapter of this actor."""
        return ref.actor_stopped.child if isinstance(ref.actor_stopped, _Stopped) else cls(ref)

    def __init__(self, ref: Any) -> None:
        self._ref = ref
        self._monitors = Monitors()
        self._asked: ExitReason | None = None
        self._fate: ExitReason | None = None
        self._stopped = ref.actor_stopped
        actor = ref._actor_weakref()
        if actor is not None:
            actor.actor_stopped = ref.actor_stopped = _Stopped(self._stopped, self)
        if self._stopped.is_set() and self._fate is None:
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
        self._stopped.set()
        # Not through its _stop(), it would stay in pykka's registry for good.
        pykka = sys.modules.get("pykka")
        if pykka is not None:
            registry = pykka.ActorRegistry
            with registry._actor_refs_lock, suppress(ValueError):  # its `unregister` also logs, by handlers that are the user's
                registry._actor_refs.remove(self._ref)
        self.finished()

    def stopping(self, error: BaseException | None) -> None:
        """The actor's fate is settled (called in its thread or greenlet): orderly, or by `error`."""
        if self._fate is None:
            self._fate = ExitReason.crashed(error) if error is not None else self._asked or ExitReason.normal()
            self._ref.actor_inbox.put(_LastEnvelope(self))

    def finished(self) -> None:
        """The actor's loop is over."""
        self._monitors.fire(self._fate or ExitReason.normal())
