"""What becomes of a client's state when its home is gone: the thread ended, or its hub was destroyed.

Its greenlets will never run again. So sockets are closed, and nobody is woken any more, in whatever thread notices; the engine then
settles what is left. The name comes free, and the next use of the client starts one in its place, as in a forked child
(`lifecycle.find`).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from klife.actors.network.broker import Broker
from klife.actors.producer.producer import Producer
from klife.actors.runtime.actor import forget_actors
from klife_supervision.loop import forget_supervisors
from klife_supervision.registry import release


def close_orphans(brokers: Iterable[Broker], producers: Iterable[Producer]) -> None:
    """Close the sockets, and let no actor be woken."""
    for broker in brokers:
        broker.disown()
    for producer in producers:
        _forget_actors_and_callbacks(producer)


def forget_tree(hub: Any, supervisor: Any) -> None:
    """The supervision tree that ran in `hub`, under `supervisor`, is nowhere to be found any more."""
    if supervisor is not None and supervisor.name is not None:
        release(supervisor.name, supervisor)
    forget_supervisors(hub)
    forget_actors(hub)


def _forget_actors_and_callbacks(producer: Producer) -> None:
    producer.batchers.inbox = None
    with suppress(ValueError):
        producer.deadline_timer.stop()
    for batcher in producer.routing.batchers.values():
        batcher.inbox = None
    for batch in producer.deadlines.pending:  # what would call them is gone; that the records are not delivered is in the log
        (batch.root or batch).callbacks = None
