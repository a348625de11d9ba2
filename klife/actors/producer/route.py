"""`TopicRoute`: from a record to the batch it joins. The hot path: everything here runs once a record.

No message, no greenlet switch, no clock but the record's timestamp. What can wait for the first record of a batch, or of a
partition, or for an error, is in a slow method of its own; the fast one only finds out that it is needed. The order matters:
everything that can fail or wait comes before the batch is looked up, because other greenlets may close it meanwhile.

Nor is it only greenlets: a signal handler, or a destructor that the garbage collector calls, may produce in the middle of this. Python
runs them after a call, at a function's start, where a loop goes back, and where a container is made; so between the look at the open
batch and the one call that puts the record in, none of these may be. A record is thus taken whole or not at all, with its bytes and
its index. (`tests/actors/test_entered_again.py` produces once more at each such place.)
"""

from __future__ import annotations

from functools import partial
from random import randrange
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

from klife.actors.producer.batch import Batch
from klife.actors.producer.buffer_pool import Claim
from klife.actors.producer.delivery import Delivery
from klife.actors.producer.murmur2 import murmur2_positive
from klife.actors.producer.partition import Partition
from klife.actors.producer.partitioners import Murmur2Partitioner, may_go_anywhere
from klife.actors.producer.places import Places
from klife.actors.producer.validation import checked_headers, checked_timestamp, exact_int, payload, too_large_for_buffer
from klife.actors.runtime.forked import take_note
from klife.core import is_compiled
from klife.errors import InvalidRecordType, InvalidRecordValue, UnknownPartition
from klife.protocol.records import RECORD_OVERHEAD, Headers
from klife.record import Record

if TYPE_CHECKING:
    from klife.actors.metadata.snapshot import TopicInfo
    from klife.actors.producer.producer import Producer

_MAX_PARTITION = 2**31 - 1  # an int32 on the wire
_IN_C = is_compiled(__file__)
_new_delivery: Any = partial(object.__new__, Delivery)  # in Python quicker than what it stands for
_NO_HEADERS: Headers = ()  # the one empty tuple there is: the default of a record's headers


class TopicRoute:
    """One topic of one producer: its partitions' queues and its partitioner."""

    __slots__ = (
        "producer",
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

    def __init__(self, producer: Producer, info: TopicInfo, partitioner: Any) -> None:
        self.producer = producer
        self.topic = info.name
        self.count = info.partition_count
        self.queues: list[Partition | None] = [None] * self.count
        self.partitioner = partitioner
        self.sticks = bool(getattr(partitioner, "sticky_keyless", False))
        # The default partitioner, without the calls.
        self._hashes = _IN_C and type(partitioner) is Murmur2Partitioner
        self._pool = producer.pool
        self._limit = producer.settings.batch_size_bytes
        self._hub_watch = producer.hub_watch
        self.sticky = 0
        self.follow(info)
        self.stick_elsewhere()

    def append(
        self,
        record: Record,
        partitioner: Any = None,
        deadline: float | None = None,
        looks: bool = True,
        places: Places | None = None,
        at: int = 0,
        wanted: bool = True,
        callback: Any = None,
    ) -> Any:
        """Queue `record` and return its delivery.

        Or only its batch, where that is not `wanted`; then `callback` is called with the result, if there is one. Given `places`, note
        there as number `at` where it is.

        Without `looks` it gets the time of this producer's last record that had the clock looked at: its caller's, a moment ago.

        Raises:
            InvalidRecordType, InvalidRecordValue: a field is wrong. Nothing was queued.
            UnknownPartition: there is no such partition (yet). Without a `deadline` this has waited for it; with one, the caller may,
                by `await_partition`, when it has done what else there is to do. Nothing was queued.
            BufferFull: no room until `deadline` (monotonic seconds; by default `max_block_ms` from now). Nothing was queued.
            ClientClosed: the client was stopped meanwhile. Nothing was queued.
        """
        size = RECORD_OVERHEAD
        value = record.value
        if value is not None:
            if type(value) is not bytes:
                value = payload(record, "value")
            size += len(value)
        key = record.key
        if key is not None:
            if type(key) is not bytes:
                key = payload(record, "key")
            size += len(key)
        headers = record.headers
        if headers is not _NO_HEADERS:
            headers, extra = checked_headers(record)
            size += extra

        partition: Any = record.partition
        place = -1  # the partition's number as C has it, where nobody else chose it
        if partition is None:
            if partitioner is not None:
                partition = self._choice_of(partitioner, record)
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
            queue = self._queue(record, partition if place < 0 else place, partitioner, deadline)

        hub_watch = self._hub_watch
        if looks:
            now_ns = time_ns()
            now_ms = now_ns // 1_000_000
            if now_ms != hub_watch.looked_ms and hub_watch.look(now_ms, monotonic()) and self.producer.closed is not None:
                raise self.producer.closed_error()  # stopped while the hub ran, or this is another hub
        timestamp_ms = hub_watch.stamp if record.timestamp_ms is None else checked_timestamp(record)

        entry: Any = None if _IN_C else (key, value, headers, timestamp_ms)  # C appends without a tuple
        pool = self._pool
        room = pool.room - size
        batch = queue.open
        if room >= 0 and batch is not None and batch.size + size <= self._limit:
            pool.room = room
            batch.size += size
            index = batch.count
            batch.count = index + 1
            if places is not None:
                places.batches[at] = batch
                places.indices[at] = index
            if _IN_C:
                batch.fields.extend((key, value, headers, timestamp_ms))
            else:
                batch.fields.extend(entry)
        else:
            if _IN_C:
                entry = (key, value, headers, timestamp_ms)
            index = 0
            batch = queue.begin(entry, size, None, places, at) if room >= 0 else None
            if batch is None:
                batch, index = self._wait_or_look_again(queue, entry, size, deadline, places, at)
        if not wanted:
            if callback is not None:
                self._call_when_settled(batch, index, callback)
            return batch
        delivery = Delivery.__new__(Delivery) if _IN_C else _new_delivery()  # what the constructor does; a call less for each record
        delivery._batch = batch
        delivery._index = index
        return delivery

    def _wait_or_look_again(
        self, queue: Partition, entry: Any, size: int, deadline: float | None, places: Places | None, at: int
    ) -> tuple[Batch, int]:
        """The way of a record for which there is no room, or which was interrupted as it began a batch; return its batch and index."""
        pool = self._pool
        claim: Claim | None = None
        try:
            while True:
                if claim is None and pool.room < size:
                    claim = Claim(size)
                    self._wait_for_room(claim, deadline)
                room = pool.room - size
                batch = queue.open
                if batch is None or batch.size + size > self._limit:
                    batch = queue.begin(entry, size, claim, places, at)
                    if batch is not None:
                        return batch, 0
                elif claim is not None or room >= 0:
                    if claim is not None:
                        claim.granted = False
                    else:
                        pool.room = room
                    batch.size += size
                    index = batch.count
                    batch.count = index + 1
                    if places is not None:
                        places.batches[at] = batch
                        places.indices[at] = index
                    batch.fields.extend(entry)
                    return batch, index
        except BaseException:  # what is thrown at a waiter, or raised by a signal handler
            if claim is not None and claim.granted:
                pool.give(size)
            raise

    def _call_when_settled(self, batch: Batch, index: int, callback: Any) -> None:
        if batch.is_set:  # whoever interrupted us has waited for it
            batch.queue.call_when_settled(batch, index, callback)
        else:
            batch.add_callback(index, callback)

    def follow(self, info: TopicInfo) -> None:
        """What is known of the topic from now on."""
        self.info = info
        # While all partitions have leaders, which is nearly always, the partitioner is asked without a detour.
        all_led = len(info.available) == info.partition_count
        self._partition = self.partitioner.partition if all_led else self._choice_among_the_led

    def _choice_among_the_led(self, record: Record, _count: int) -> Any:
        return self._choice_of(self.partitioner, record)

    def _choice_of(self, partitioner: Any, record: Record) -> Any:
        """The partition that `partitioner` says; for a record that may go anywhere, one with a leader while some have none."""
        available = self.info.available
        if 0 < len(available) < self.count and may_go_anywhere(partitioner, record):
            return available[randrange(len(available))]
        return partitioner.partition(record, self.count)

    def stick_elsewhere(self) -> None:
        """The batch that keyless records stuck to is closed; they go to another partition from now on (KIP-480)."""
        if not self.count:
            return
        available = self.info.available
        if available:
            self.sticky = available[randrange(len(available))]
        else:
            self.sticky = randrange(self.count)

    def _wait_for_room(self, claim: Claim, deadline: float | None) -> None:
        producer, size = self.producer, claim.size
        if size > self._pool.limit:
            raise too_large_for_buffer(self.topic, size, self._pool.limit)
        if deadline is None:
            deadline = monotonic() + producer.max_block
        self._pool.take(size, deadline, producer.max_block, claim)
        take_note()
        self._hub_watch.stamp = time_ns() // 1_000_000
        if producer.closed is not None:  # stopped while we waited
            raise producer.closed_error()

    def await_partition(self, partition: int, deadline: float, chosen: bool) -> bool:
        """Have the cluster asked for a partition that may just have been added; return whether it is there by `deadline`.

        A partitioner that `chosen` it was told how many there are: for what it knows better, one answer has to do.
        """
        if self.producer.await_partition is not None:
            self.producer.await_partition(self, partition, deadline, chosen)
        return partition < self.count

    def _queue(self, record: Record, partition: Any, partitioner: Any, deadline: float | None = None) -> Partition:
        """The queue of a partition seen for the first time, or the error that says what is wrong with `partition`."""
        explicit = record.partition is not None
        whose = "Record.partition" if explicit else f"what {type(partitioner or self.partitioner).__name__}.partition returned"
        given = partition
        if type(partition) is not int:
            partition = exact_int(given)
        if partition is None:
            raise InvalidRecordType(
                f"{whose} is a {type(given).__name__} ({given!r}); expected an int from 0 to {self.count - 1} "
                f"(topic {self.topic!r} has {self.count} partitions)" + (", or None to let the partitioner choose" if explicit else "")
            )
        if not 0 <= partition <= _MAX_PARTITION:
            raise InvalidRecordValue(self._no_such(whose, partition, explicit))
        if partition >= self.count and (
            deadline is not None or not self.await_partition(partition, monotonic() + self.producer.max_block, not explicit)
        ):
            raise UnknownPartition(
                f"{self._no_such(whose, partition, explicit)}. None was added "
                f"{'within max_block_ms' if explicit else 'since the partitioner was told'}; add partitions, or correct the number. "
                "The record was not queued.",
                topic=self.topic,
                partition=partition,
                retriable=True,
            )
        queue: Partition | None = self.queues[partition]
        if queue is not None:
            return queue
        fresh = Partition(self, partition)
        self.producer.routing.place(fresh)
        queue = self.queues[partition]
        if queue is None:  # nor did anything that ran meanwhile make it
            queue = self.queues[partition] = fresh
        return queue

    def _no_such(self, whose: str, partition: int, explicit: bool) -> str:
        return (
            f"{whose} is {partition}, but topic {self.topic!r} has {self.count} partitions: expected an int from 0 to {self.count - 1}"
            + (", or None to let the partitioner choose" if explicit else "")
        )
