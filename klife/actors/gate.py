"""`Gate`: the last child of a client, and so the first to be stopped: it makes an orderly stop a lossless one.

While the brokers can be reached, a client that its supervisor stops delivers what was accepted first, whoever the supervisor is.
"""

from __future__ import annotations

from time import monotonic

from klife.actors.engine import Engine
from klife.actors.runtime.actor import GeventActor


class Gate(GeventActor):
    """Closes the client for new records and flushes, when it is stopped."""

    def __init__(self, engine: Engine, flush_timeout: float) -> None:
        super().__init__()
        self._engine = engine
        self._flush_timeout = flush_timeout

    @property
    def state(self) -> str:
        """Shown in the supervision tree."""
        return "closed" if self._engine.closing else "open"

    def on_stop(self) -> None:
        if self._engine.closing is None:  # else `Client.stop` has flushed already
            self._engine.close("it is being stopped")
            self._engine.flush(monotonic() + self._flush_timeout)
