"""`Producer`: everything one producer knows about its records, apart from the actors that move them.

A plain value, owned by the client and not by any actor, as an ETS table outlives the process that fills it. Killing the producer's
actors at any moment loses nothing: what they were doing stands here, and their successors go on with it.

It keeps the identity (producer id and epoch) and the books, and gives each batch its outcome. Its parts keep the rest: the routing
table the queues and batchers, the delivery clock all batches that are not settled, the hub watch when the hub ran.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from klife.actors.producer.batch import Batch, Identity
from klife.actors.producer.buffer_pool import BufferPool
from klife.actors.producer.callbacks import Callbacks
from klife.actors.producer.deadlines import Deadlines
from klife.actors.producer.held_up import last_attempt
from klife.actors.producer.hub_watch import HubWatch
from klife.actors.producer.routing import Routing
from klife.actors.runtime.loop_budget import LoopBudget
from klife.actors.settings import ProducerSettings
from klife.errors import ClientClosed, ProduceError

if TYPE_CHECKING:
    from klife.actors.network.broker import Broker
    from klife.actors.producer.route import TopicRoute
    from klife.actors.runtime.inbox import Inbox

_MAX_EPOCH = 32767


class Producer:
    """The state of one producer."""

    def __init__(
        self, settings: ProducerSettings, pool: BufferPool, home: Any, max_block: float, broker_of: Callable[[int], Broker]
    ) -> None:
        self.settings = settings
        self.pool = pool
        self.home = home  # a hub
        self.max_block = max_block
        self.idempotent = settings.idempotent
        self.routing = Routing(self, broker_of)
        self.deadlines = Deadlines(self)
        self.hub_watch = HubWatch()
        self.budget = LoopBudget(home.loop)
        self.callbacks = Callbacks(pool, home, self.budget)
        self.linger = settings.linger  # seconds an open batch waits for company; none while somebody waits for it to leave
        self.identity: Identity | None = None
        self.identity_error: str | None = None  # why there is none yet
        self.inbox: Inbox | None = None  # the ProducerActor's, while it lives
        # Waits for a partition that may just have been added (route, partition, deadline, whether a partitioner chose it).
        self.await_partition: Callable[[TopicRoute, int, float, bool], None] | None = None
        self.skipping_linger = 0  # how many wait for records to leave
        self.closed: str | None = None
        self.delivered = 0
        self.failed = 0
        self.requests = 0
        self.retries = 0

    # identity

    def want_identity(self) -> None:
        """A batch can not be sent for want of a producer id; the ProducerActor fetches one."""
        self.wake()

    def bump_epoch(self, lost: Identity) -> None:
        """The next epoch after `lost` (KIP-360), or none when the epochs are used up: then a new id is fetched."""
        if self.identity is not lost:
            return
        if lost.epoch < _MAX_EPOCH:
            self.identity = Identity(lost.producer_id, lost.epoch + 1)
        else:
            self.discard_identity(lost)

    def discard_identity(self, refused: Identity | None) -> None:
        """The broker refuses this id: a new one is fetched."""
        if refused is not None and self.identity is not None and self.identity.producer_id == refused.producer_id:
            self.identity = None
            self.wake()

    # outcomes

    def settle(self, batch: Batch, base_offset: int | None, append_time_ms: int, error: ProduceError | None) -> None:
        """Give `batch` its outcome, once; whoever waits is woken, its callbacks run, its bytes come free."""
        self.deadlines.pending.pop(batch, None)
        if batch.is_set:
            return
        if error is None:
            self.delivered += batch.count
        else:
            self.failed += batch.count
        batch.wire = None
        root = batch.root
        if root is None:
            batch.base_offset, batch.append_time_ms, batch.error = base_offset, append_time_ms, error
            self._complete(batch)
            return
        batch.set()  # a piece nobody waits on; its root is what callers hold
        if batch.report(base_offset, append_time_ms, error):
            self._complete(root)

    def written(self, batch: Batch, base_offset: int, append_time_ms: int) -> None:
        """The broker has written `batch`: it leaves its queue and is settled. Once for nearly every batch, so in few calls."""
        queue = batch.queue
        queue.written(batch)
        if append_time_ms >= 0 or queue.has_append_time:
            append_time_ms = queue.append_time(batch, append_time_ms)
        if batch.root is not None or batch.is_set:
            self.settle(batch, base_offset if base_offset >= 0 else None, append_time_ms, None)
            return
        self.deadlines.pending.pop(batch, None)
        self.delivered += batch.count
        batch.wire = None
        if base_offset >= 0:
            batch.base_offset = base_offset
        if append_time_ms >= 0:
            batch.append_time_ms = append_time_ms
        batch.is_set = True  # as `set` does, first of all; a call less for each batch that nobody waits for yet
        if batch._greenlets or batch._locks:
            batch.set()
        if batch.callbacks is None:
            self.pool.give(batch.size)
        else:
            self.callbacks.batch_settled(batch)

    def _complete(self, batch: Batch) -> None:
        batch.set()
        if batch.callbacks is None:
            self.pool.give(batch.size)
        else:
            self.callbacks.batch_settled(batch)

    def fail(self, batch: Batch, error: ProduceError) -> None:
        """Give `batch` its outcome wherever it stands, and have its queue forget it: while its broker is away nobody else looks."""
        queue = batch.queue
        if batch is queue.open:
            queue.close()
        self.settle(batch, None, -1, error)
        queue.drop_settled()

    # the end

    def close(self, reason: str) -> None:
        """Take no more records; `reason` ends the error that `produce` raises from now on."""
        if self.closed is None:
            self.closed = reason

    def closed_error(self) -> ClientClosed:
        return ClientClosed(f"the client takes no more records: {self.closed}. Nothing was queued; start a new client.")

    def abandon(self, reason: str) -> int:
        """Settle everything that is left as failed, or possibly persisted; return how many records that were."""
        count = 0
        for batch in list(self.deadlines.pending):
            queue = batch.queue
            unknown = batch.in_flight or batch.fate_unknown
            count += batch.count
            fate = "may be in the log: check before sending them again" if unknown else "were not written"
            why, code = last_attempt(queue)
            self.fail(
                batch,
                ProduceError(
                    f"{reason}; records of {queue.topic}-{queue.partition} {fate}" + (f" ({why})" if why else ""),
                    topic=queue.topic,
                    partition=queue.partition,
                    error_code=code,
                    retriable=True,
                    possibly_persisted=unknown,
                ),
            )
        return count

    def fail_unsent(self, error_of: Callable[[str, int], ProduceError]) -> None:
        """Settle as failed what was certainly not written and waits to be sent, because it never can be."""
        for batch in list(self.deadlines.pending):
            queue = batch.queue
            if not batch.in_flight and not batch.fate_unknown:
                self.fail(batch, error_of(queue.topic, queue.partition))

    @property
    def unsettled(self) -> int:
        """Records without an outcome."""
        return sum(batch.count for batch in list(self.deadlines.pending))

    def skip_linger(self, by: int) -> None:
        """One more (1) or one less (-1) who waits for records to leave: a flush, or callers for buffer space. Nothing lingers then."""
        self.skipping_linger += by
        self.linger = 0.0 if self.skipping_linger else self.settings.linger
        if by > 0:
            for batcher in list(self.routing.batchers.values()):
                batcher.wake()

    def flush(self, deadline: float) -> int:
        """Send without linger and wait, until `deadline` (monotonic seconds), for all that is pending now; return what is left."""
        # Of a batch in pieces, the whole: a piece that is split once more is nobody's to settle.
        batches = list(dict.fromkeys([batch.root or batch for batch in list(self.deadlines.pending)]))
        self.skip_linger(1)
        try:
            for batch in batches:
                if not batch.wait(deadline - monotonic()):
                    break
        finally:
            self.skip_linger(-1)
        return sum(batch.missing or batch.count for batch in batches if not batch.is_set)

    def wake(self) -> None:
        """Have the ProducerActor look."""
        if self.inbox is not None:
            self.inbox.wake()
