"""What a forked child does with its copy of a running client: it lets go of it.

Records, connections and producer ids are the parent's, which goes on as if nothing had happened. So in the child

- the sockets are closed, by `close` alone: a `shutdown`, or a byte, would reach the broker on the parent's connection;
- the records are forgotten, and with them their memory: `Batch.result` raises `ForkedDelivery` from now on;
- callbacks of these records will not run, nor those that had their turn yet to come;
- the actors do nothing any more. gevent copies greenlets into the child. They stay where they wait, and are not killed: a kill would
  unwind them, and their supervisors would start them again. They only still end when a supervisor tells them to.

A user's greenlet that waits for something of klife is not woken either. What it would do next, answer a request for instance, the
parent does; done by its copy as well, on the same socket, it would be done twice.

All this happens inside `fork`, in the one thread that the child has, whatever the others were doing. So it assigns and clears,
takes no lock, waits for nothing, and logs nothing.
"""

from __future__ import annotations

from klife.actors.engine import Engine
from klife.actors.producer.batch import Batch
from klife.actors.producer.producer import Producer


def disown(engine: Engine) -> None:
    """In a forked child: `engine` is the parent's."""
    engine.inherited = True
    engine.closing = "it was started in the process this one was forked from" + (
        "" if engine.settings.restart_after_fork else ', and its on_fork is "raise"'
    )
    engine.finished.is_set = True  # and nobody is woken
    engine.routes.clear()
    for broker in engine.metadata.brokers.values():
        broker.disown()
    for producer in engine.producers.values():
        _disown_records(producer, engine.closing)


def _disown_records(producer: Producer, why: str) -> None:
    producer.terms.closed = why
    for batch in (*producer.deadlines.pending, *producer.callbacks.unfinished()):
        _forget(batch)
        if batch.root is not None:
            _forget(batch.root)
    producer.deadlines.pending.clear()
    producer.routing.routes.clear()
    for batcher in producer.routing.batchers.values():
        batcher.inbox = None
        batcher.ready.clear()
        batcher.calls.clear()
        batcher.completed.clear()


def _forget(batch: Batch) -> None:
    batch.fields = []
    batch.wire = None
    batch.callbacks = batch.indices = None
    batch.is_set = True
