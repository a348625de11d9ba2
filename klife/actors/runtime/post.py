"""`Post`: a place in a client that one actor holds, and its successor after it; where it is asked.

A caller who waits for something of one actor asks for it by an `ActorMessage`, with a deadline. The actor
may die before it has answered. So the caller asks the post, and the post asks its holder: whoever that is,
anew of each successor, until one has answered or the deadline has passed. That rule is here and nowhere else;
a question must therefore be one that may be asked twice.

An actor that has no answer yet returns `POSTPONED`. Like a postponed event of OTP's `gen_statem` the message
is handled again each time the actor has looked at its state, and goes with the actor: what must outlive that
is no message, but a value with a `Latch`.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Generic, TypeVar

from pykka import ActorDeadError

from klife.actors.runtime.future import GeventFuture, WaitTimeout
from klife.actors.runtime.latch import Latch
from klife.actors.runtime.ref import GeventActorRef
from klife.errors import KlifeError

R = TypeVar("R")


class ActorMessage(Generic[R]):
    """Asks an actor for an `R`. Each is a frozen dataclass; the actor's `on_receive` returns the `R`, or
    `POSTPONED`.
    """

    __slots__ = ()


class Post:
    """Made in the thread, and for the hub, of those who hold it."""

    def __init__(self) -> None:
        self._holder: GeventActorRef[Any] | None = None
        self._succeeded = Latch()  # set when another holds it
        self._awaited: set[GeventFuture[Any]] = set()
        self._closed: Callable[[], KlifeError] | None = None

    def start(self, start: Callable[[], GeventActorRef[Any]]) -> GeventActorRef[Any]:
        """Start the actor that holds the post from now on: what a child spec's `start` calls, each time anew."""
        holder = self._holder = start()
        succeeded, self._succeeded = self._succeeded, Latch()
        succeeded.set()
        return holder

    def ask(self, message: ActorMessage[R], deadline: float) -> R:
        """What the holder, or one of its successors, answers.

        Raises:
            WaitTimeout: there was no answer by `deadline` (monotonic seconds); nobody goes on working for it.
            what the post was closed with; what the actor raises when it handles the message.
        """
        while True:
            if self._closed is not None:
                raise self._closed()
            holder, succeeded = self._holder, self._succeeded
            if holder is not None:
                try:
                    return self._ask(holder, message, deadline)
                except ActorDeadError:
                    pass
            if not succeeded.wait(deadline - monotonic()):
                raise WaitTimeout(f"no reply to {message!r} in time")

    def _ask(self, holder: GeventActorRef[Any], message: ActorMessage[R], deadline: float) -> R:
        reply: GeventFuture[R] = holder.ask(message, block=False)  # type: ignore[assignment]
        self._awaited.add(reply)
        try:
            answer: R = reply.get(timeout=max(deadline - monotonic(), 0.0))
            return answer
        finally:
            self._awaited.discard(reply)
            reply.withdraw()
            del reply  # its error knows this frame

    def close(self, error: Callable[[], KlifeError]) -> None:
        """There are no more answers: whoever waits for one, or asks, gets what `error` makes."""
        self._closed = error
        self._succeeded.set()
        for reply in list(self._awaited):
            reply.withdraw(error())
