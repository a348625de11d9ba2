"""`GeventActorRef`: pykka's reference, made a child that a supervisor can look after.

The four names `monitor`, `shutdown`, `kill`, `exit_reason` are the structural protocol of
`klife_supervision`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pykka
from gevent import get_hub
from pykka import ActorDeadError
from pykka.messages import _ActorStop

from klife.actors.runtime.latch import look_again_at_wakeups
from klife.actors.runtime.life import Life
from klife_supervision import ExitReason

A = TypeVar("A", bound=pykka.Actor)


class GeventActorRef(pykka.ActorRef[A]):
    """A reference to a `GeventActor`, valid also after its end."""

    def __init__(self, actor: A, life: Life) -> None:
        super().__init__(actor)
        self._life = life

    @property
    def exit_reason(self) -> ExitReason | None:
        """Why the actor ended; None while it lives."""
        return self._life.exit_reason

    @property
    def state(self) -> str:
        """What the actor says of itself, for the supervision tree; "running" where it says nothing."""
        actor = self._actor_weakref()
        state = getattr(actor, "state", None)
        return state if isinstance(state, str) and self.is_alive() else "running"

    def monitor(self, callback: Callable[[ExitReason], None]) -> Callable[[], None]:
        """Call `callback` exactly once when the actor has ended; returns a function that cancels this."""
        return self._life.monitor(callback)

    def shutdown(self, reason: ExitReason | None = None) -> None:
        """Ask for an orderly end, after the messages that wait already. Returns at once."""
        if self._life.asked_reason is None:
            self._life.asked_reason = reason or ExitReason.shutdown()
        try:
            self.tell(_ActorStop())
        except ActorDeadError:
            return

    def kill(self) -> None:
        """End the actor where it stands (`GreenletExit` at its next switch). Returns at once."""
        if self._life.greenlet is not None:
            self._life.greenlet.kill(block=False)

    def look_again(self) -> None:
        """In the hub, every few seconds: have the actor look at its state, should it have missed a wake-up."""
        actor = self._actor_weakref()
        if actor is not None:
            actor.look_again()  # type: ignore[attr-defined]
        self.actor_inbox.look_again()  # type: ignore[attr-defined]
        look_again_at_wakeups(get_hub())

    def wait_started(self) -> None:
        """Wait until `on_start` is through, or has failed."""
        self._life.started.wait()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the actor has ended, at most `timeout` seconds; return whether it has."""
        return self._life.ended.wait(timeout)
