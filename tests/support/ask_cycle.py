"""Actors that wait for each other in a circle: found when the wait that closes the circle begins. For tests.

An actor handles one message at a time. If A asks B while B asks A, neither is ever answered, and nothing is
wrong with either of them alone; so a test that meets the circle hangs, and one that does not passes.
`watching()` notes who waits for whom, and lets the last wait of a circle raise `AskCycle` instead. It covers
`ask`, proxies, `stop`, `start` and `GeventActorRef.wait`, with a timeout or without: such a wait can only end
by its timeout. What an actor waits for by other means (a lock, a helper greenlet) is not seen.

It costs nothing while it is off: actors started while it is on get references of another class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gevent import getcurrent

from klife.actors.runtime.actor import GeventActor
from klife.actors.runtime.future import GeventFuture
from klife.actors.runtime.latch import Latch
from klife.actors.runtime.ref import A, GeventActorRef
from klife.errors import KlifeError
from klife_supervision.logs import get_logger

log = get_logger("klife.actors")


class AskCycle(KlifeError, RuntimeError):
    """Actors wait for each other in a circle. `actors` names them in order: each waits for the next, the last
    for the first.
    """

    def __init__(self, actors: Sequence[str]) -> None:
        self.actors = tuple(actors)
        circle = " -> ".join([*self.actors, self.actors[0]])
        super().__init__(f"actors wait for each other in a circle: {circle}; let one of them tell instead of ask, and go on")


class WatchedRef(GeventActorRef[A]):
    """A reference whose waits are noted."""

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        answer: GeventFuture[Any] = super().ask(message, block=False)  # type: ignore[assignment]

        def get(timeout: float | None) -> Any:
            with _waiting_for(self, answer._latch):
                return answer.get(timeout=timeout)

        watched: GeventFuture[Any] = GeventFuture()
        watched.set_get_hook(get)
        watched.withdraw = answer.withdraw  # type: ignore[method-assign]
        return watched.get(timeout=timeout) if block else watched

    def wait_started(self) -> None:
        with _waiting_for(self, self._life.started):
            super().wait_started()

    def wait(self, timeout: float | None = None) -> bool:
        with _waiting_for(self, self._life.ended):
            return super().wait(timeout)

    @property
    def greenlet(self) -> Any:
        """Where the actor runs."""
        return self._life.greenlet


_found: list[AskCycle] = []
_waits: dict[Any, WatchedRef[Any]] = {}
"""The greenlets that wait for an actor now, and for which."""


@contextmanager
def watching() -> Iterator[list[AskCycle]]:
    """Watch the actors started in this block. Gives the circles found so far, also those whose error somebody
    swallowed.
    """
    GeventActor._ref_type, before = WatchedRef, GeventActor._ref_type
    try:
        yield _found
    finally:
        GeventActor._ref_type = before
        _found.clear()


@contextmanager
def _waiting_for(ref: WatchedRef[Any], latch: Latch) -> Iterator[None]:
    """Note the wait for as long as it lasts. Raises AskCycle if it would close a circle."""
    if latch.is_set:
        yield
        return
    here = getcurrent()
    circle = _circle(ref, here)
    if circle:
        error = AskCycle([str(each) for each in circle])
        _found.append(error)
        log.error("ask_cycle", actors=error.actors)
        raise error
    _waits[here] = ref
    try:
        yield
    finally:
        del _waits[here]


def _circle(ref: WatchedRef[Any], here: Any) -> list[WatchedRef[Any]]:
    """Who waits for whom, from `ref` to the actor that runs in the greenlet `here`; empty if it does not lead
    there.
    """
    actors = [ref]
    while actors[-1].greenlet is not here:
        next_one = _waits.get(actors[-1].greenlet)
        if next_one is None or next_one in actors:
            return []
        actors.append(next_one)
    return actors
