"""`DrainOnStop`: the last child of a client, and so the first to be stopped: it makes an orderly stop a
lossless one.

While the brokers can be reached, a client that its supervisor stops delivers what was accepted first, whoever
the supervisor is. One that gives up has nothing left to deliver with, and those who wait are to hear of it at
once.
"""

from __future__ import annotations

from time import monotonic

from klife.actors import engines
from klife.actors.engine import Engine
from klife.actors.runtime.actor import GeventActor


class DrainOnStop(GeventActor):
    """Closes the client for new records and flushes, when it is stopped."""

    def __init__(self, engine: Engine, flush_timeout: float) -> None:
        super().__init__()
        self._engine = engine
        self._flush_timeout = flush_timeout

    @property
    def state(self) -> str:
        """Shown in the supervision tree."""
        return "closed" if self._engine.closing else "open"

    def disown(self) -> None:
        super().disown()
        setattr(self, "on_stop", self._stop_successor)  # noqa: B010 - mypy takes no assignment to a method

    def _stop_successor(self) -> None:
        """In a forked child the client that took the place of the parent's is stopped with it: for its user
        they are one.
        """
        successor = engines.find(self._engine.name)
        if successor is not None and successor.after_fork:
            successor.stop(self._flush_timeout)
        engines.forget_inherited(self._engine.name)

    def on_stop(self) -> None:
        if self._engine.closing is None and self._engine.is_whole:  # else `Client.stop` has flushed already, or it gave up
            self._engine.close("it is being stopped")
            self._engine.flush(monotonic() + self._flush_timeout)
