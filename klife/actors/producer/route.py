"""`TopicRoute`: from a record to the batch it joins. The hot path: everything here runs once a record.

No message, no greenlet switch, no clock but the record's timestamp. What can wait for the first record of a batch, or of a
partition, or for an error, is in a slow method of its own; the fast one only finds out that it is needed. The order matters:
everything that can fail or wait comes before the batch is looked up, because other greenlets may close it meanwhile.
"""

from __future__ import annotations

from random import randrange
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

from klife.actors.producer.batch import Batch
from klife.actors.producer.murmur2 import IS_QUICK, murmur2_positive
from klife.actors.producer.partition_queue import PartitionQueue
from klife.actors.producer.partitioners import Murmur2Partitioner
from klife.actors.producer.validation import checked_headers, checked_timestamp, invalid_payload, too_large_for_buffer
from klife.actors.runtime.forked import take_note
from klife.errors import InvalidRecordType, InvalidRecordValue
from klife.protocol.records import RECORD_OVERHEAD, Headers
from klife.record import Record

if TYPE_CHECKING:
    from klife.actors.metadata_snapshot import TopicInfo
    from klife.actors.producer.accumulator import Accumulator

_NO_HEADERS: Headers = ()  # the one empty tuple there is: the default of a record's headers


class TopicRoute:
    """One topic of one producer: its partitions' queues and its partitioner."""

    __slots__ = (
        "accumulator",
        "topic",
        "info",
        "queues",
        "count",
        "partitioner",
        "sticky",
        "sticks",
        "_partition",
        "_hashes",
        "_pool",
        "_limit",
        "_hub_watch",
    )

    def __init__(self, accumulator: Accumulator, info: TopicInfo, partitioner: Any) -> None:
        self.accumulator = accumulator
        self.topic = info.name
        self.info = info
        self.count = info.partition_count
        self.queues: list[PartitionQueue | None] = [None] * self.count
        self.partitioner = partitioner
        self.sticks = bool(getattr(partitioner, "sticky_keyless", False))
        self._partition = partitioner.partition
        # The default partitioner, without the calls.
        self._hashes = IS_QUICK and type(partitioner) is Murmur2Partitioner
        self._pool = accumulator.pool
        self._limit = accumulator.settings.batch_size_bytes
        self._hub_watch = accumulator.hub_watch
        self.sticky = 0
        self.stick_elsewhere()

    def append(self, record: Record, partitioner: Any = None, deadline: float | None = None, looks: bool = True) -> Batch:
        """Queue `record` and return its batch; it is the last of the batch's records until the caller yields.

        Without `looks` it gets the time of this producer's last record that had the clock looked at: its caller's, a moment ago.

        Raises:
            InvalidRecordType, InvalidRecordValue: a field is wrong. Nothing was queued.
            BufferFull: no room until `deadline` (monotonic seconds; by default `max_block_ms` from now). Nothing was queued.
            ClientClosed: the client was stopped while this waited. Nothing was queued.
        """
        size = RECORD_OVERHEAD
        value = record.value
        if value is not None:
            if type(value) is not bytes:
                raise invalid_payload(record, "value")
            size += len(value)
        key = record.key
        if key is not None:
            if type(key) is not bytes:
                raise invalid_payload(record, "key")
            size += len(key)
        headers = record.headers
        if headers is not _NO_HEADERS:
            headers, extra = checked_headers(record)
            size += extra

        partition: Any = record.partition
        place = -1  # the partition's number as C has it, where nobody else chose it
        if partition is None:
            if partitioner is not None:
                partition = partitioner.partition(record, self.count)
            elif key is None and self.sticks:
                place = self.sticky
            elif self._hashes and key is not None:
                place = murmur2_positive(key) % self.count
            else:
                partition = self._partition(record, self.count)
        if place >= 0:
            queue = self.queues[place] if place < self.count else None
        else:
            try:
                queue = self.queues[partition] if type(partition) is int and partition >= 0 else None
            except IndexError:
                queue = None
        if queue is None:
            queue = self._queue(record, partition if place < 0 else place, partitioner)

        hub_watch = self._hub_watch
        if looks:
            now_ns = time_ns()
            now_ms = now_ns // 1_000_000
            if now_ms != hub_watch.looked_ms and hub_watch.look(now_ms, monotonic()) and self.accumulator.closed is not None:
                raise self.accumulator.closed_error()  # stopped while the hub ran
        timestamp_ms = hub_watch.stamp if record.timestamp_ms is None else checked_timestamp(record)

        pool = self._pool
        room = pool.room - size
        if room >= 0:
            pool.room = room
        else:
            self._wait_for_room(size, deadline)

        batch = queue.open
        if batch is None or batch.size + size > self._limit:
            now = monotonic()
            batch = queue.open_batch(now)
            hub_watch.batch_opened(now)
        batch.size += size
        batch.count += 1  # before the call: a signal handler may raise after it
        batch.fields.extend((key, value, headers, timestamp_ms))
        return batch

    def stick_elsewhere(self) -> None:
        """The batch that keyless records stuck to is closed; they go to another partition from now on (KIP-480)."""
        if not self.count:
            return
        available = self.info.available
        if available:
            self.sticky = available[randrange(len(available))]
        else:
            self.sticky = randrange(self.count)

    def _wait_for_room(self, size: int, deadline: float | None) -> None:
        accumulator = self.accumulator
        if size > self._pool.limit:
            raise too_large_for_buffer(self.topic, size, self._pool.limit)
        if deadline is None:
            deadline = monotonic() + accumulator.max_block
        self._pool.take(size, deadline, accumulator.max_block)
        take_note()
        self._hub_watch.stamp = time_ns() // 1_000_000
        if accumulator.closed is not None:  # stopped while we waited
            self._pool.give(size)
            raise accumulator.closed_error()

    def _queue(self, record: Record, partition: Any, partitioner: Any) -> PartitionQueue:
        """The queue of a partition seen for the first time, or the error that says what is wrong with `partition`."""
        explicit = record.partition is not None
        whose = "Record.partition" if explicit else f"what {type(partitioner or self.partitioner).__name__}.partition returned"
        if type(partition) is not int:
            raise InvalidRecordType(
                f"{whose} is a {type(partition).__name__} ({partition!r}); expected an int from 0 to {self.count - 1} "
                f"(topic {self.topic!r} has {self.count} partitions)" + (", or None to let the partitioner choose" if explicit else "")
            )
        if not 0 <= partition < self.count:
            raise InvalidRecordValue(
                f"{whose} is {partition}, but topic {self.topic!r} has {self.count} partitions: expected an int from 0 to "
                f"{self.count - 1}" + (", or None to let the partitioner choose" if explicit else "")
            )
        queue = self.queues[partition]
        if queue is None:
            queue = self.queues[partition] = PartitionQueue(self, partition)
            self.accumulator.routing.place(queue)
        return queue
