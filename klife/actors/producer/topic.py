"""`Topic`: from a record to the batch it joins. The hot path: everything here runs once a record.

No message, no greenlet switch, no clock but the record's timestamp. What can wait for the first record of a
batch, or of a partition, or for an error, is in a slow method of its own; the fast one only finds out that it
is needed. The order matters: everything that can fail or wait comes before the batch is looked up, because
other greenlets may close it meanwhile.

Nor is it only greenlets: a signal handler, or a destructor that the garbage collector calls, may produce in
the middle of this. Python runs them after a call, at a function's start, where a loop goes back, and where a
container is made; so between the look at the open batch and the one call that puts the record in, none of
these may be. A record is thus taken whole or not at all, with its bytes and its index.
(`tests/actors/test_entered_again.py` produces once more at each such place.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import randrange
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

from klife import cython_shim as cython
from klife.actors.metadata.snapshot import NO_LEADER
from klife.actors.producer.batch import Batch
from klife.actors.producer.buffer_pool import Claim
from klife.actors.producer.deadlines import OPEN_AT_MOST
from klife.actors.producer.delivery import Delivery, Places
from klife.actors.producer.murmur2 import murmur2_positive
from klife.actors.producer.partition import Partition
from klife.actors.producer.partitioners import Murmur2Partitioner, may_go_anywhere
from klife.actors.producer.validation import (
    NO_HEADERS,
    checked_headers,
    checked_timestamp,
    exact_int,
    payload,
    too_large_for_buffer,
)
from klife.actors.runtime.forked import take_note
from klife.actors.settings import NEVER
from klife.errors import InvalidRecordType, InvalidRecordValue, UnknownPartition
from klife.protocol.primitives import INT32_MAX
from klife.protocol.records import RECORD_OVERHEAD
from klife.record import Record

if cython.compiled:
    import cython

if TYPE_CHECKING:
    from klife.actors.metadata.snapshot import TopicInfo
    from klife.actors.producer.batcher import Batchers
    from klife.actors.producer.buffer_pool import BufferPool
    from klife.actors.producer.deadline_timer import DeadlineTimer
    from klife.actors.producer.deadlines import Deadlines
    from klife.actors.producer.hub_watch import HubWatch
    from klife.actors.producer.terms import Terms

_NEVER = cython.declare(cython.double, NEVER)
_NOWHERE = cython.declare(cython.Py_ssize_t, -1)  # keyless records stick to no partition: the next one chooses
_new_delivery: Any = partial(object.__new__, Delivery)  # in Python quicker than what it stands for


class Topic:
    """One topic of one producer: its partitions and its partitioner."""

    __slots__ = (
        "name",
        "info",
        "partitions",
        "count",
        "partitioner",
        "sticky",
        "sticks",
        "terms",
        "_made",
        "_batchers",
        "_deadlines",
        "_timer",
        "_await_partition",
        "_partition",
        "_hashes",
        "_pool",
        "_limit",
        "_hub_watch",
    )

    def __init__(
        self,
        info: TopicInfo,
        partitioner: Any,
        terms: Terms,
        pool: BufferPool,
        hub_watch: HubWatch,
        batchers: Batchers,
        deadlines: Deadlines,
        timer: DeadlineTimer,
        await_partition: Callable[[Topic, int, float, bool], None],
    ) -> None:
        """`await_partition(topic, partition_id, deadline, chosen)` waits for a partition that may just have
        been added.
        """
        self.name = info.name
        self.count = 0
        self.partitions: list[Partition | None] = []
        self._made: dict[int, Partition] = {}  # by id; also those beyond the ones there are now
        self.partitioner = partitioner
        self.sticks = bool(getattr(partitioner, "sticky_keyless", False))
        self.terms = terms
        self._batchers = batchers
        self._deadlines = deadlines
        self._timer = timer
        self._await_partition = await_partition
        self._pool = pool
        self._limit = terms.batch_size_bytes
        self._hub_watch = hub_watch
        self.sticky = _NOWHERE
        self.follow(info)

    @cython.locals(size=cython.Py_ssize_t, place=cython.Py_ssize_t, index=cython.Py_ssize_t, keyless=cython.bint)
    @cython.locals(delivery="Delivery", partition="Partition", batch="Batch", pool="BufferPool", hub_watch="HubWatch")
    @cython.locals(room="long long", now_ns="long long", now_ms="long long")
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

        Or only its batch, where that is not `wanted`; then `callback` is called with the result, if there is
        one. Given `places`, note there at index `at` where it is.

        Without `looks` it gets the time of this producer's last record that had the clock looked at: its
        caller's, a moment ago.

        Raises:
            InvalidRecordType, InvalidRecordValue: a field is wrong. Nothing was queued.
            UnknownPartition: there is no such partition (yet). Without a `deadline` this has waited for it;
                with one, the caller may, by `await_partition`, when it has done what else there is to do.
                Nothing was queued.
            BufferFull: no room until `deadline` (monotonic seconds; by default `max_block_ms` from now).
                Nothing was queued.
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
        if headers is not NO_HEADERS:
            headers, extra = checked_headers(record)
            size += extra

        chosen: Any = record.partition
        place = -1  # the partition's id as C has it, where nobody else chose it
        if chosen is None:
            if partitioner is not None:
                chosen = self._choice_of(partitioner, record)
            elif key is None and self.sticks:
                place = self.sticky
            elif self._hashes and key is not None:
                place = murmur2_positive(key) % self.count
            else:
                chosen = self._partition(record, self.count)
        if place >= 0:
            partition = self.partitions[place] if place < self.count else None
        else:
            try:
                partition = self.partitions[chosen] if type(chosen) is int and chosen >= 0 else None
            except IndexError:
                partition = None
        if partition is None:
            if not self._sticks(record, partitioner):
                partition = self._unseen(record, chosen if place < 0 else place, partitioner, deadline)
            elif self.count:
                partition = self._stick_elsewhere()
            else:
                partition = self._unseen(record, 0, partitioner, deadline)

        hub_watch = self._hub_watch
        if looks:
            now_ns = time_ns()
            now_ms = now_ns // 1_000_000
            if now_ms != hub_watch.looked_ms and hub_watch.look(now_ms, monotonic()) and self.terms.closed is not None:
                raise self.terms.closed_error()  # stopped while the hub ran, or this is another hub
        timestamp_ms = hub_watch.stamp if record.timestamp_ms is None else checked_timestamp(record)

        entry: Any = None if cython.compiled else (key, value, headers, timestamp_ms)  # C appends without a tuple
        pool = self._pool
        room = pool.room - size
        batch = partition.open
        if room >= 0 and batch is not None and batch.size + size <= self._limit:
            pool.room = room
            batch.size += size
            index = batch.count
            batch.count = index + 1
            if places is not None:
                places.batches[at] = batch
                places.indices[at] = index
            if cython.compiled:
                batch.fields.extend((key, value, headers, timestamp_ms))
            else:
                batch.fields.extend(entry)
        else:
            if cython.compiled:
                entry = (key, value, headers, timestamp_ms)
            index = 0
            batch = None
            keyless = key is None and self._sticks(record, partitioner)
            if not keyless:
                if partition.partition_id == self.sticky:
                    self.sticky = _NOWHERE  # the batch that keyless records stuck to is closed
                if room >= 0:
                    batch = self._begin(partition, entry, size, None, places, at)
            if batch is None:
                batch, index = self._wait_or_look_again(partition, keyless, entry, size, deadline, places, at)
        if not wanted:
            if callback is not None:
                self._call_when_settled(batch, index, callback)
            return batch
        # What the constructor does; a call less for each record.
        delivery = Delivery.__new__(Delivery) if cython.compiled else _new_delivery()
        delivery._batch = batch
        delivery._index = index
        return delivery

    def _sticks(self, record: Record, partitioner: Any) -> bool:
        """Whether a record goes where the topic's other records without key go."""
        return self.sticks and record.key is None and record.partition is None and partitioner is None

    @cython.locals(batch="Batch", pool="BufferPool", room="long long", deadlines="Deadlines", batcher="Batcher")
    def _begin(self, partition: Partition, entry: Any, size: int, claim: Claim | None, places: Places | None, at: int) -> Batch | None:
        """Close `partition`'s open batch, if any, and open another, with `entry` for its first record; return
        it.

        Its `size` bytes are those of `claim`, which has them, or else taken from the pool. `places` are told,
        at index `at`. None where something that ran meanwhile has opened another, or has left no room: then
        nothing was done.

        Raises:
            ClientClosed: the client was stopped meanwhile. Nothing was queued.
        """
        if partition.open is not None:
            partition.close()
        deadlines = self._deadlines
        batch = Batch(self.name, partition.partition_id, self.terms, monotonic(), 0)
        batch.fields.extend(entry)
        batch.count = 1
        batch.size = size
        # From this look until it is the open batch there is no call: something that produces, too, might run
        # in it.
        pool = self._pool
        room = pool.room - size
        if self.terms.closed is not None:  # by what ran meanwhile, a partitioner perhaps: nobody would send it any more
            raise self.terms.closed_error()
        if partition.open is not None or (room < 0 and claim is None):
            return None
        if claim is None:
            pool.room = room
        else:
            claim.granted = False
        partition.opened = batch.ordinal = partition.opened + 1
        deadlines.pending[batch] = partition
        partition.open = batch
        if places is not None:
            places.batches[at] = batch
            places.indices[at] = 0
        batcher = partition.served_by
        try:
            if not partition.growing or deadlines.due == _NEVER:  # else the timer looks within a second: mostly a call less
                self._watch(partition, batch)
            if batcher is not None:
                batcher.batch_opened(partition, batch)
            else:
                self._batchers.offer(partition)  # it waits for a leader
            if batch.created >= self._hub_watch.due:
                self._hub_watch.batch_opened()
        except BaseException:  # a signal handler's; nobody else would tell them
            self._watch(partition, batch)
            self._batchers.offer(partition)
            raise
        return batch

    def _watch(self, partition: Partition, batch: Batch) -> None:
        """Have it noticed when `batch` is open for too long, or is not delivered in time."""
        self._deadlines.watch(partition)
        if batch.created + OPEN_AT_MOST < self._deadlines.due:
            self._timer.look_by(batch.created + OPEN_AT_MOST)
            self._batchers.wake()  # records wait: for an id perhaps, or for a broker

    @cython.locals(pool="BufferPool", claim="Claim", batch="Batch", room="long long", index=cython.Py_ssize_t, sticks=cython.bint)
    def _wait_or_look_again(
        self,
        partition: Partition,
        keyless: bool,
        entry: Any,
        size: int,
        deadline: float | None,
        places: Places | None,
        at: int,
    ) -> tuple[Batch, int]:
        """The way of a record for which there is no room, which was interrupted as it began a batch, or which
        is `keyless` and would begin one; return its batch and index.

        Keyless records stick to a partition until their batch there is closed (KIP-480). So one that would
        begin a batch chooses another partition first, and joins that one's open batch, if there is one.
        """
        pool = self._pool
        claim: Claim | None = None
        sticks = keyless
        try:
            while True:
                if claim is None and pool.room < size:
                    claim = Claim(size)
                    self._wait_for_room(claim, deadline)
                room = pool.room - size
                batch = partition.open
                if batch is None or batch.size + size > self._limit:
                    if sticks:
                        partition = self._stick_elsewhere()
                        sticks = False
                        continue
                    batch = self._begin(partition, entry, size, claim, places, at)
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
            self.terms.call_when_settled(batch, index, callback)
        else:
            batch.add_callback(index, callback)

    def follow(self, info: TopicInfo) -> None:
        """What is known of the topic from now on. All that is queued goes on to where it is led now."""
        self.info = info
        # While all partitions have leaders, which is nearly always, the partitioner is asked without a
        # detour.
        all_led = 0 < len(info.available) == info.partition_count
        # The default partitioner, without the calls.
        self._hashes = cython.compiled and info.partition_count > 0 and type(self.partitioner) is Murmur2Partitioner
        self._partition = self.partitioner.partition if all_led else self._choice_among_the_led
        # A topic made anew with fewer partitions: what was queued beyond them waits. Should there be as many
        # again, they go on where they were: with sequences that were used, a broker would take new records
        # for those it has.
        partitions = [self._made.get(partition_id) for partition_id in range(info.partition_count)]
        self.partitions = partitions
        self.count = info.partition_count
        for partition in list(self._made.values()):
            self._place(partition)
        if self.sticky >= self.count or (self.sticky != _NOWHERE and info.leaders[self.sticky] == NO_LEADER):
            self.sticky = _NOWHERE

    def _place(self, partition: Partition) -> None:
        """Have `partition` served by its leader's batcher."""
        info, partition_id = self.info, partition.partition_id
        partition.topic_id = info.topic_id
        partition.leader_error = info.errors[partition_id] if partition_id < len(info.errors) else 0
        self._batchers.place(partition, info.leaders[partition_id] if partition_id < len(info.leaders) else NO_LEADER)

    def _choice_among_the_led(self, record: Record, _count: int) -> Any:
        return self._choice_of(self.partitioner, record)

    def _choice_of(self, partitioner: Any, record: Record) -> Any:
        """The partition that `partitioner` says; for a record that may go anywhere, one with a leader while
        some have none.
        """
        if not self.count:
            return 0  # it could but divide by that; `_unseen` looks whether there are any now
        available = self.info.available
        if 0 < len(available) < self.count and may_go_anywhere(partitioner, record):
            return available[randrange(len(available))]
        return partitioner.partition(record, self.count)

    def _stick_elsewhere(self) -> Partition:
        """The batch that keyless records stuck to is closed; they go to another partition from now on: this
        one (KIP-480).
        """
        available = self.info.available
        self.sticky = available[randrange(len(available))] if available else randrange(self.count)
        return self.partition(self.sticky)

    def _wait_for_room(self, claim: Claim, deadline: float | None) -> None:
        size, max_block = claim.size, self.terms.max_block
        if size > self._pool.limit:
            raise too_large_for_buffer(self.name, size, self._pool.limit)
        if deadline is None:
            deadline = monotonic() + max_block
        self._pool.take(size, deadline, max_block, claim)
        take_note()
        self._hub_watch.stamp = time_ns() // 1_000_000
        if self.terms.closed is not None:  # stopped while we waited
            raise self.terms.closed_error()

    def await_partition(self, partition_id: int, deadline: float, chosen: bool) -> bool:
        """Have the cluster asked for a partition that may just have been added; return whether it is there by
        `deadline`.

        A partitioner that `chosen` it was told how many there are: for what it knows better, one answer has
        to do.
        """
        self._await_partition(self, partition_id, deadline, chosen)
        return partition_id < self.count

    def partition(self, partition_id: int) -> Partition:
        """One of the partitions there are, made when it is first produced to."""
        partition = self._made.get(partition_id)
        if partition is None:
            fresh = Partition(self.name, partition_id, self.terms)
            self._place(fresh)
            partition = self._made.setdefault(partition_id, fresh)  # something that ran meanwhile may have made it
        self.partitions[partition_id] = partition
        return partition

    def _unseen(self, record: Record, chosen: Any, partitioner: Any, deadline: float | None = None) -> Partition:
        """A partition seen for the first time, or the error that says what is wrong with what was `chosen`."""
        explicit = record.partition is not None
        if not self.count and not explicit:
            return self._first(record, partitioner, deadline)
        whose = "Record.partition" if explicit else f"what {type(partitioner or self.partitioner).__name__}.partition returned"
        partition_id = chosen if type(chosen) is int else exact_int(chosen)
        if partition_id is None:
            raise InvalidRecordType(
                f"{whose} is a {type(chosen).__name__} ({chosen!r}); expected an int from 0 to {self.count - 1} "
                f"(topic {self.name!r} has {self.count} partitions)" + (", or None to let the partitioner choose" if explicit else "")
            )
        if not 0 <= partition_id <= INT32_MAX:
            raise InvalidRecordValue(self._no_such(whose, partition_id, explicit))
        if partition_id >= self.count and (
            deadline is not None or not self.await_partition(partition_id, monotonic() + self.terms.max_block, not explicit)
        ):
            raise UnknownPartition(
                f"{self._no_such(whose, partition_id, explicit)}. None was added "
                f"{'within max_block_ms' if explicit else 'since the partitioner was told'}; add partitions, or correct the number. "
                "The record was not queued.",
                topic=self.name,
                partition=partition_id,
                retriable=True,
            )
        return self.partition(partition_id)

    def _first(self, record: Record, partitioner: Any, deadline: float | None) -> Partition:
        """A partition of a topic that has none: there may be some now, among which to choose."""
        if deadline is not None or not self.await_partition(0, monotonic() + self.terms.max_block, True):
            raise UnknownPartition(
                f"topic {self.name!r} has 0 partitions, and no record can go to it; add partitions. The record was not queued.",
                topic=self.name,
                partition=0,
                retriable=True,
            )
        if self._sticks(record, partitioner):
            return self._stick_elsewhere()
        return self._unseen(record, self._choice_of(partitioner or self.partitioner, record), partitioner, deadline)

    def _no_such(self, whose: str, partition_id: int, explicit: bool) -> str:
        return f"{whose} is {partition_id}, but topic {self.name!r} has {self.count} partitions" + (
            (f": expected an int from 0 to {self.count - 1}" + (", or None to let the partitioner choose" if explicit else ""))
            if self.count
            else ""
        )
