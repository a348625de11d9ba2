"""`Terms`: what holds for all records of one producer: its settings, which do not change, and the few things
that do.

It imports nothing of a producer, and everything of a producer knows it, down to its batches, so that nothing
there has to know the producer. One thing it leads to: `call_when_settled`, by which a batch's deliveries
reach the producer's callbacks.
"""

from __future__ import annotations

from collections.abc import Callable
from random import random
from time import monotonic
from typing import Any

from klife.actors.closed import NOT_QUEUED, client_closed
from klife.actors.runtime.home import has_own_thread
from klife.actors.settings import ProducerSettings
from klife.errors import ClientClosed
from klife.protocol.apis.produce import ProduceRequest


class Terms:
    """The settings of one producer, and how it works at this moment. Times are seconds."""

    __slots__ = (
        "settings",
        "home",
        "own_thread",
        "idempotent",
        "delivery_timeout",
        "batch_size_bytes",
        "max_in_flight",
        "max_block",
        "linger",
        "drawn",
        "drawn_until",
        "skipping_linger",
        "closed",
        "hub_ran_at",
        "call_when_settled",
        "produce_versions",
        "awaits_admission",
    )

    def __init__(
        self, settings: ProducerSettings, home: Any, max_block: float, call_when_settled: Callable[[Any, int, Any], None]
    ) -> None:
        self.settings: ProducerSettings = settings
        self.home: Any = home  # a hub
        self.own_thread: bool = has_own_thread(home)  # then records come from other threads, too
        self.max_block: float = max_block  # so long may a record wait for room, or for its partition
        # Those that are asked for with each batch or request.
        self.idempotent: bool = settings.idempotent
        self.delivery_timeout: float = settings.delivery_timeout
        self.batch_size_bytes: int = settings.batch_size_bytes
        self.max_in_flight: int = settings.max_in_flight
        self.linger: float = settings.linger  # an open batch waits so long for company; 0 while somebody waits for it to leave
        self.drawn: float = 0.0  # by topics whose records linger, until then
        self.drawn_until: float = 0.0
        self.skipping_linger: int = 0  # how many wait for records to leave
        self.closed: str | None = None  # why no records are taken any more
        self.hub_ran_at: float = monotonic()  # when the hub is known to have run last, while anything is not settled
        self.produce_versions: tuple[int, int] = (ProduceRequest.MIN_VERSION, ProduceRequest.MAX_VERSION)  # those that may be used
        self.awaits_admission: Callable[[Any], bool] | None = None  # whether a partition has to join the transaction first
        self.call_when_settled: Callable[[Any, int, Any], None] = call_when_settled  # (batch, index, callback); from any thread

    def skip_linger(self, by: int) -> None:
        """One more (1) or one less (-1) who waits for records to leave: a flush, or callers for buffer space.
        Nothing lingers then.
        """
        self.skipping_linger += by
        self.linger = 0.0 if self.skipping_linger else self.settings.linger

    def draw_together(self) -> float:
        """A random number from 0 to 1, the same for all whose records begin to linger before the first of them
        has lingered long enough.
        """
        now = monotonic()
        if now >= self.drawn_until:
            self.drawn, self.drawn_until = random(), now + self.settings.linger
        return self.drawn

    def close(self, reason: str) -> None:
        """Take no more records; `reason` ends the error that `produce` raises from now on."""
        if self.closed is None:
            self.closed = reason

    def closed_error(self) -> ClientClosed:
        return client_closed("the client", str(self.closed), NOT_QUEUED)
