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

from contextlib import suppress
from functools import partial
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

from gevent._hub_local import get_hub_if_exists

from klife import cython_shim as cython
from klife.actors.producer.batch import Batch
from klife.actors.producer.buffer_pool import Claim
from klife.actors.producer.deadlines import OPEN_AT_MOST
from klife.actors.producer.delivery import Delivery, Places
from klife.actors.producer.murmur2 import murmur2_positive
from klife.actors.producer.partition import Partition
from klife.actors.producer.partitioners import remembered_murmur2
from klife.actors.producer.topic_partitions import NOWHERE, TopicPartitions, WaitForPartitions
from klife.actors.producer.validation import NO_HEADERS, checked_headers, checked_timestamp, payload, too_large_for_buffer
from klife.actors.runtime.forked import take_note
from klife.actors.settings import NEVER
from klife.protocol.records import RECORD_OVERHEAD
from klife.record import Record

if cython.compiled:
    import cython
    from cython.cimports.klife.capi import wall_clock_ns

if TYPE_CHECKING:
    from klife.actors.metadata.snapshot import TopicInfo
    from klife.actors.producer.batcher import Batchers
    from klife.actors.producer.buffer_pool import BufferPool
    from klife.actors.producer.deadline_timer import DeadlineTimer
    from klife.actors.producer.deadlines import Deadlines
    from klife.actors.producer.hub_watch import HubWatch
    from klife.actors.producer.terms import Terms

_NOWHERE = cython.declare(cython.Py_ssize_t, NOWHERE)
_NEVER = cython.declare(cython.double, NEVER)
_REAL_TIME_NS = time_ns
_new_delivery: Any = partial(object.__new__, Delivery)  # in Python quicker than what it stands for


class Topic(TopicPartitions):
    """One topic of one producer."""

    __slots__ = ("_deadlines", "_timer", "_pool", "_limit", "_hub_watch")

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
        wait_for_partitions: WaitForPartitions,
    ) -> None:
        super().__init__(info, partitioner, terms, batchers, wait_for_partitions)
        self._deadlines = deadlines
        self._timer = timer
        self._pool = pool
        self._limit = terms.batch_size_bytes
        self._hub_watch = hub_watch

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
                if cython.compiled:
                    place = murmur2_positive(key) % self.count
                else:
                    place = remembered_murmur2(key) % self.count
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
            if cython.compiled and time_ns is _REAL_TIME_NS:  # a clock that a test has put there is looked at by its name
                now_ns = wall_clock_ns()
            else:
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
            if self.terms.own_thread and get_hub_if_exists() is not self.terms.home:
                self._tell_home(partition, batch)
                return batch
            if not partition.growing or deadlines.due == _NEVER:  # else the timer looks within a second: mostly a call less
                self._watch(partition, batch)
            if batcher is not None:
                batcher.batch_opened(partition, batch)
                if len(batcher.calls) >= batcher.max_in_flight and partition.partition_id == self.sticky:
                    self._batchers.held_up.add(self)
            else:
                self._batchers.offer(partition)  # it waits for a leader
            if batch.created >= self._hub_watch.due:
                self._hub_watch.batch_opened()
        except BaseException:  # a signal handler's; nobody else would tell them
            if self.terms.own_thread:
                self._tell_home(partition, batch)
            else:
                self._watch(partition, batch)
                self._batchers.offer(partition)
            raise
        return batch

    def _tell_home(self, partition: Partition, batch: Batch) -> None:
        """A thread has opened `batch`: have the hub do what follows. Until then it stands where all look:
        whoever drains the partition first finds it.
        """
        with suppress(ValueError):  # the loop was destroyed: the client has ended, and `abandon` finds it pending
            self.terms.home.loop.run_callback_threadsafe(self._opened, partition, batch)

    def _opened(self, partition: Partition, batch: Batch) -> None:
        """At home, of a batch that a thread has opened."""
        self._watch(partition, batch)
        batcher = partition.served_by
        if batcher is not None:
            batcher.batch_opened(partition, batch)
        else:
            self._batchers.offer(partition)

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
        if batch.is_set or self.terms.own_thread:  # whoever interrupted us has waited for it; or it may be settled any moment
            self.terms.call_when_settled(batch, index, callback)
        else:
            batch.add_callback(index, callback)

    def _wait_for_room(self, claim: Claim, deadline: float | None) -> None:
        size, max_block = claim.size, self.terms.max_block
        if size > self._pool.limit:
            raise too_large_for_buffer(self.name, size, self._pool.limit)
        if deadline is None:
            deadline = monotonic() + max_block
        observer = self.terms.settings.observer
        if observer is None:
            self._pool.take(size, deadline, max_block, claim)
        else:
            self._take_observed(observer, size, deadline, max_block, claim)
        take_note()
        self._hub_watch.stamp = time_ns() // 1_000_000
        if self.terms.closed is not None:  # stopped while we waited
            raise self.terms.closed_error()

    def _take_observed(self, observer: Any, size: int, deadline: float, max_block: float, claim: Claim) -> None:
        began, granted = monotonic(), False
        try:
            self._pool.take(size, deadline, max_block, claim)
            granted = True
        finally:
            observer.waited(self.terms.settings.name, self.name, monotonic() - began, granted)
