"""What a producer lets go of without an end of its own: in a forked child, and where its home is gone.

In a forked child the records are the parent's, which delivers them. They are forgotten, and with them their
memory: `Batch.result` raises `ForkedDelivery` from now on. Callbacks of these records will not run, nor those
that had their turn yet to come.
"""

from __future__ import annotations

from contextlib import suppress

from klife.actors.producer.batch import Batch
from klife.actors.producer.producer import Producer


def disown(producer: Producer, why: str) -> None:
    """In a forked child: forget the records; `why` ends the error of who produces on its copy."""
    producer.terms.closed = why
    producer.callbacks.forget()
    for batch in (*producer.deadlines.pending, *producer.callbacks.unfinished()):
        _forget(batch)
        if batch.root is not None:
            _forget(batch.root)
    producer.deadlines.pending.clear()
    producer.routing.topics.clear()
    for batcher in producer.batchers.all.values():
        batcher.inbox = None
        batcher.ready.clear()
        batcher.calls.clear()
        batcher.completed.clear()


def orphan(producer: Producer) -> None:
    """The home is gone: let no actor be woken, and nothing be called. The records are still to be settled."""
    producer.batchers.inbox = None
    producer.callbacks.forget()
    with suppress(ValueError):  # its timer's loop was destroyed
        producer.deadline_timer.stop()
    for batcher in producer.batchers.all.values():
        batcher.inbox = None
    for batch in producer.deadlines.pending:  # what would call them is gone; that the records are not delivered is in the log
        (batch.root or batch).callbacks = None


def _forget(batch: Batch) -> None:
    batch.fields = []
    batch.wire = batch.ahead = None
    batch.callbacks = batch.indices = None
    batch.is_set = True
