"""`Settlement`: gives each batch of one producer its outcome, once: delivered, failed, or dropped for want of
time or of anybody who works for it. Nobody else does.

Whoever waits is woken, callbacks run, bytes come free, and the records are counted. A signal handler may
raise between any two calls here; so an outcome is set without one in between, the batch is pending until all
that follows from it is done, and each part of that can be done again (`finish`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from klife import cython_shim as cython
from klife.protocol.produce_wire import PlainAnswer

if cython.compiled:
    import cython

if TYPE_CHECKING:
    from klife.actors.producer.batch import Batch
    from klife.actors.producer.buffer_pool import BufferPool
    from klife.actors.producer.callbacks import Callbacks
    from klife.actors.producer.deadlines import Deadlines
    from klife.actors.producer.partition import Partition
    from klife.actors.producer.request import InFlightRequest
    from klife.errors import ProduceError


class Settlement:
    """What ends the batches that `deadlines` has pending."""

    def __init__(self, pool: BufferPool, callbacks: Callbacks, deadlines: Deadlines) -> None:
        self._pool = pool
        self._callbacks = callbacks
        self._deadlines = deadlines
        self.delivered_records: int = 0
        self.failed_records: int = 0
        self.first_error: ProduceError | None = None  # since a transaction set it back

    @cython.locals(batches=dict, both=tuple, partition="Partition", batch="Batch", answer="PlainAnswer")
    def written(self, request: InFlightRequest) -> bool:
        """If the broker has written what it was asked to, say so of each batch that the answer names; return
        whether that is all there is to say of `request`.
        """
        if type(request.response) is not PlainAnswer:
            return False
        answer = request.response
        for key, partitions in answer.topics:
            batches = request.by_topic.get(key)
            if batches is None:
                continue
            for partition_id, base_offset, append_time_ms in partitions:
                both = batches.pop(partition_id, None)
                if both is not None:
                    partition, batch = both
                    self.delivered(partition, batch, base_offset, append_time_ms)
        for batches in request.by_topic.values():  # noqa: SIM110 - C has no types in a comprehension
            if batches:
                return False
        return True

    def delivered(self, partition: Partition, batch: Batch, base_offset: int, append_time_ms: int) -> None:
        """`batch` came back written, at `base_offset` if that is known (else -1). Once for nearly every
        batch, so in few calls.
        """
        older = partition.written(batch)
        if append_time_ms >= 0 or partition.log.has_append_time:
            append_time_ms = partition.log.append_time(batch, append_time_ms)
        if older is not None or batch.root is not None or batch.is_set:
            self._end_in_log(older, batch, base_offset, append_time_ms)
            if older is not None:
                partition.drop_settled()
            return
        # What `_end` comes to for a whole batch that nobody has ended.
        self.delivered_records += batch.count
        batch.wire = None
        if base_offset >= 0:
            batch.base_offset = base_offset
        if append_time_ms >= 0:
            batch.append_time_ms = append_time_ms
        batch.is_set = True  # as `set` does, first of all; a call less for each batch that nobody waits for yet
        if batch._greenlets or batch._locks:
            batch.set()
        if batch.callbacks is not None:
            self._callbacks.batch_settled(batch)
        elif self._pool.waiters:
            self._pool.give_back(batch)
        else:
            self._pool.room += batch.size
        self._deadlines.pending.pop(batch, None)  # last: what is interrupted before is found there, and finished

    def _end_in_log(self, older: list[Batch] | None, batch: Batch, base_offset: int, append_time_ms: int) -> None:
        for each in older or ():
            self._end(each, None, -1, None)
        self._end(batch, base_offset if base_offset >= 0 else None, append_time_ms, None)

    def failed(self, partition: Partition, batch: Batch, error: ProduceError) -> None:
        """`batch` came back refused for good."""
        partition.gave_up(batch)
        self._end(batch, None, -1, error)

    def rejected(self, piece: Batch, error: ProduceError) -> None:
        """`piece`, of records that the broker refused for themselves, stands nowhere any more."""
        self._end(piece, None, -1, error)

    def dropped(self, partition: Partition, batch: Batch, error: ProduceError) -> None:
        """`batch` is not waited for any longer, wherever it stands; its partition forgets it, as nobody else
        may look for long.
        """
        if batch is partition.open:
            partition.close()
        self._end(batch, None, -1, error)
        partition.drop_settled()

    def _end(self, batch: Batch, base_offset: int | None, append_time_ms: int, error: ProduceError | None) -> None:
        """Give `batch` its outcome, unless it has one."""
        if batch.is_set:
            self.finish(batch)
            return
        root = batch.root
        if root is not None:
            batch.report(base_offset, append_time_ms, error)
        # From here until it is set there is no call, in which a signal handler might raise: it counts once,
        # and has an outcome.
        if error is None:
            self.delivered_records += batch.count
        else:
            self.failed_records += batch.count
            if self.first_error is None:
                self.first_error = error
        batch.wire = batch.ahead = None
        if root is None:
            batch.base_offset = base_offset
            batch.append_time_ms = append_time_ms
            batch.error = error
        else:
            root.missing -= batch.count
        batch.is_set = True
        self.finish(batch)

    @cython.locals(whole="Batch")
    def finish(self, batch: Batch) -> None:
        """Do what is left to do for `batch`, which has its outcome; nothing if that is done already.

        It is pending until then: an exception of a signal handler may end this anywhere, and whoever calls it
        again goes on.
        """
        if batch not in self._deadlines.pending:
            return
        whole = batch.root or batch  # nobody waits on a piece; its root is what callers hold
        if batch.root is None or whole.missing == 0:
            whole.set()
            if whole.callbacks is None:
                self._pool.give_back(whole)
            else:
                self._callbacks.settled_again(whole)
        self._deadlines.pending.pop(batch, None)
