"""`Append`: how records come in: the fast path, for records of topics that are known already, and the slow
path for all others.

The slow path is also that of a record which asks for a producer or a partitioner of its own. The fast one
runs once a record, in methods whose types the compiler knows. What it reads is of the engine that the client
was bound to when a record last went the slow path: an engine that has ended has no topics, so the next record
finds its successor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

from gevent import getcurrent
from gevent._hub_local import get_hub_if_exists

from klife import cython_shim as cython
from klife.actors.closed import NOT_QUEUED
from klife.actors.engine import Engine
from klife.actors.producer import validation
from klife.actors.producer.delivery import Places
from klife.actors.producer.producers import Producers
from klife.actors.producer.topic_partitions import NotAtHome
from klife.actors.producer.validation import NO_HEADERS, exact_str
from klife.actors.runtime.forked import first_byte, is_forked, page, take_note
from klife.actors.runtime.latch import get_thread_ident
from klife.actors.runtime.loop_budget import AT_ONCE, let_home_run
from klife.api.from_thread import call_at_home
from klife.api.handle import Handle
from klife.errors import BufferFull, ClientClosed, InvalidRecordType, KlifeError, ProduceError, UnknownPartition
from klife.record import Record, Undelivered

if cython.compiled:
    import cython
    from cython.cimports.cpython.pythread import PyThread_get_thread_ident

_AT_ONCE = 0.0  # a deadline that has passed
_LOOKS_EVERY = cython.declare(cython.Py_ssize_t, 64)  # records of one call between two looks at the clock
_page = cython.declare("unsigned char[::1]", page)


class Append:
    """What takes records for a client. Its methods are for the home thread, except for `checked` and
    `from_thread`.
    """

    __slots__ = ("_handle", "_producers", "_topics", "_home", "_own_thread", "_owners")

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._follow(handle.engine)

    @property
    def handle(self) -> Handle:
        """Its way to the engine."""
        return self._handle

    def follow(self, engine: Engine) -> None:
        """Take records for `engine` from now on: a transaction of it begins."""
        if self._producers.engine is not engine:
            self._follow(engine)

    def _follow(self, engine: Engine) -> Producers:
        """Take the fast path to `engine` from now on; return its producers."""
        producers = self._producers = engine.part(Producers)
        self._topics = producers.topics
        self._home = engine.home
        self._own_thread = engine.has_own_thread
        self._owners = {}
        if engine.settings.txn_pools:
            from klife.actors.transactions.transactions import Transactions  # by clients that have them

            self._owners = engine.part(Transactions).owners
        return producers

    def from_thread(self, function: Callable[[], Any]) -> Any:
        """Call `function`, which begins anew with what the caller was called for, at home."""
        self._follow(self._handle.current())
        return self._handle.from_thread(function)

    def elsewhere(self, record: Record, producer: str | None, partitioner: Any, wanted: bool, callback: Any) -> Any:
        """As `accepted`, for where that has done nothing."""
        return self.from_thread(lambda: self.accepted(record, producer, partitioner, wanted, callback))

    @cython.locals(topic="Topic", taken="Record")
    def accepted(self, record: Record, producer: str | None, partitioner: Any, wanted: bool, callback: Any) -> Any:
        """As `Topic.append`; or return None if this is not the home thread, and nothing was done."""
        if self._owners:
            transaction = self._owners.get(getcurrent())
            if transaction is not None:
                return self.join(transaction, record, producer, partitioner, wanted, callback)
        if cython.compiled:
            if PyThread_get_thread_ident() != self._home:
                return self._accepted_here(record, producer, partitioner, wanted, callback) if self._own_thread else None
            if not _page[0]:  # this process was forked
                take_note()
        else:
            if get_thread_ident() != self._home:
                return self._accepted_here(record, producer, partitioner, wanted, callback) if self._own_thread else None
            if not first_byte:
                take_note()
        if type(record) is not Record or producer is not None or partitioner is not None:
            return self._append(record, producer, partitioner, None, None, 0, wanted, callback)
        taken = record  # to the compiler, which knows its type now
        try:
            topic = self._topics[taken.topic]
        except (KeyError, TypeError, AttributeError):
            topic = None
        if topic is None:
            return self._append(record, None, None, None, None, 0, wanted, callback)
        if not cython.compiled:
            try:
                return topic.append(taken, None, None, True, None, 0, wanted, callback)
            except AttributeError:  # perhaps for a field that was never set
                if not validation.completed(record):
                    raise
            return self._append(record, None, None, None, None, 0, wanted, callback)
        return topic.append(taken, None, None, True, None, 0, wanted, callback)

    @cython.locals(topic="Topic", taken="Record")
    def _accepted_here(self, record: Record, producer: Any, partitioner: Any, wanted: bool, callback: Any) -> Any:
        """As `accepted`, in another thread than the home, which is the client's own: the record joins its
        batch here, under the interpreter's lock, wherever a signal handler's record may. Between the look at
        the open batch and the call that puts the record in, no other thread runs. None where it has to wait,
        or to change more than its batch: that is done at home.
        """
        if is_forked():
            take_note()
        if type(record) is not Record or producer is not None or partitioner is not None:
            return None
        taken = record
        try:
            topic = self._topics[taken.topic]
        except (KeyError, TypeError, AttributeError):
            return None
        try:
            return topic.append(taken, None, _AT_ONCE, True, None, 0, wanted, callback)
        except (UnknownPartition, BufferFull, NotAtHome):
            return None
        except AttributeError:  # perhaps for a field that was never set, which is seen at home
            if cython.compiled or not validation.completed(record):
                raise
            return None

    def _append(
        self,
        record: Record,
        producer: str | None,
        partitioner: Any,
        deadline: float | None,
        places: Places | None = None,
        at: int = 0,
        wanted: bool = True,
        callback: Any = None,
        transaction: Any = None,
    ) -> Any:
        """The slow path of one record; that of a `transaction`, where there is one."""
        if not isinstance(record, Record):
            raise validation.not_a_record(record)
        # A str has a method of that name, and a class is not yet an object.
        wrong = isinstance(partitioner, (str, type)) or not callable(getattr(partitioner, "partition", None))
        if partitioner is not None and wrong:
            raise InvalidRecordType(
                f"partitioner is a {type(partitioner).__name__}; expected an object with partition(record, partition_count) -> int"
            )
        if deadline is None:
            deadline = monotonic() + self._handle.engine.settings.max_block
        validation.check(record)
        if transaction is not None:
            topic = transaction.topic(record.topic, deadline)
            transaction.check()  # again: it may have waited
        else:
            engine = self._handle.current(deadline)
            producers = self._producers if engine is self._producers.engine else self._follow(engine)
            topic = producers.topic(record.topic, producer, deadline)
        try:
            taken = topic.append(record, partitioner, deadline, True, places, at, wanted, callback)
        except UnknownPartition as beyond:
            if beyond.partition is None or not topic.await_partition(beyond.partition, deadline, record.partition is None):
                raise
            taken = topic.append(record, partitioner, deadline, True, places, at, wanted, callback)
        if transaction is None and engine.exiting is not None:
            engine.exiting()
        return taken

    def join(self, transaction: Any, record: Record, producer: str | None, partitioner: Any, wanted: bool, callback: Any) -> Any:
        """As `Topic.append`, in `transaction`. From any thread."""
        take_note()
        transaction.check(producer)
        engine = transaction.pool.engine
        if get_hub_if_exists() is not engine.hub:
            return call_at_home(engine, lambda: self.join(transaction, record, None, partitioner, wanted, callback), None, NOT_QUEUED)
        try:
            return self._append(record, None, partitioner, None, None, 0, wanted, callback, transaction)
        except ClientClosed:
            transaction.check()  # it has ended while the record waited
            raise

    def joined(self, transaction: Any, record: Record, partitioner: Any, wanted: bool, callback: Any) -> Any:
        """As `join`, for a record that comes from its caller right now."""
        return self.join(transaction, record, None, partitioner, wanted, callback)

    def open_transaction(self) -> Any:
        """The transaction that what the calling greenlet produces joins, if it has one open."""
        return self._owners.get(getcurrent()) if self._owners else None

    def join_all(self, transaction: Any, records: list[Record], producer: str | None, partitioner: Any) -> Places:
        """As `take`, in `transaction`. From any thread. A record that could not be queued ends it."""
        take_note()
        transaction.check(producer)
        engine = transaction.pool.engine
        if get_hub_if_exists() is not engine.hub:
            taken: Places = call_at_home(engine, lambda: self.join_all(transaction, records, None, partitioner), None, NOT_QUEUED)
            return taken
        deadline = self._handle.by_max_block()
        places = Places(len(records), engine.hub, engine.call_soon)
        for index in range(len(records)):
            self._append_one(records, index, places, None, partitioner, deadline, transaction)
        return places

    def checked(self, records: Iterable[Record]) -> list[Record]:
        """`records` as a list, if all are right. From any thread: what a generator does, it does in its
        caller's.

        Raises:
            InvalidRecordType, InvalidRecordValue: one is not, and the text tells which.
        """
        if isinstance(records, Record):
            raise InvalidRecordType("produce_batch takes an iterable of Records, got one Record; use produce(record) for a single one")
        try:
            each = iter(records)
        except TypeError as error:
            raise InvalidRecordType(f"produce_batch takes an iterable of Records, got a {type(records).__name__}") from error
        listed = list(each)  # what a generator raises is its caller's
        for start in range(0, len(listed), AT_ONCE):
            if start:
                let_home_run(self._handle.engine.hub)
            try:
                peculiar = _peculiar(listed, self._topics, start)
            except AttributeError:  # a record without one of its fields: whichever it is
                peculiar = list(range(start, min(start + AT_ONCE, len(listed))))
            for index in peculiar:
                validation.check(listed[index], f"records[{index}]")
        return listed

    def take(self, records: list[Record], producer: str | None, partitioner: Any) -> Places:
        """Queue `records`, which are checked, and return where they went, or for what errors they did not.

        All together may wait `max_block_ms`.

        Raises:
            ClientClosed, InvalidRecordType, InvalidRecordValue: the client was stopped; there is no such
                producer. Nothing was queued.
        """
        deadline = self._handle.by_max_block()
        engine = self._handle.current(deadline)
        producers = self._follow(engine)
        if producer is not None:
            producers.named(producer)
        places = Places(len(records), engine.hub, engine.call_soon)
        # Exact strings: what is asked for stays where others find it.
        unknown = set(map(exact_str, _unknown_names(records, self._topics))) - engine.metadata.snapshot.topics.keys()
        if unknown or producer is not None or partitioner is not None:
            self._append_rest(records, 0, unknown, places, producer, partitioner, deadline)
            return places
        index = 0
        while (index := self._append_straight(records, index, places, deadline)) < len(records):
            if type(records[index]) is Record and records[index].topic in self._topics:  # there is no such partition, or not yet
                self._append_rest(records, index, unknown, places, None, None, deadline)
                break
            self._append_one(records, index, places, None, None, deadline)
            index += 1
        return places

    def _append_rest(
        self,
        records: list[Record],
        start: int,
        unknown: set[str],
        places: Places,
        producer: str | None,
        partitioner: Any,
        deadline: float,
    ) -> None:
        """Queue the records from `start` on: last those whose topic or partition may have to be waited for,
        perhaps in vain, so that the others need not wait. A partition's own records stay in order.
        """
        metadata = self._producers.engine.metadata
        topics = metadata.snapshot.topics
        awaited = dict.fromkeys(unknown, 1)
        late = set()
        for index in range(start, len(records)):
            topic, partition = records[index].topic, records[index].partition
            if topic in unknown:
                late.add(index)
            elif partition is not None and topic in topics and partition >= topics[topic].partition_count:
                late.add(index)
                awaited[topic] = max(awaited.get(topic, 1), partition + 1)
        with metadata.awaiting(awaited, creates=True):  # for all of them at once
            for index in sorted(range(start, len(records)), key=late.__contains__):
                self._append_one(records, index, places, producer, partitioner, deadline)

    @cython.locals(topic="Topic", record="Record", looked="Terms", terms="Terms")
    def _append_straight(self, records: list[Record], index: int, places: Places, deadline: float) -> int:
        """Queue `records` from `index` on, and note where they went; return where the first is that must go
        the slow path.
        """
        looked = None  # whose clock: topics may have producers of their own
        while index < len(records):
            try:
                while index < len(records):
                    if type(records[index]) is not Record:
                        return index
                    record = records[index]
                    # Looked up anew for each: while one waits for room, its topic may go.
                    topic = self._topics.get(record.topic)
                    if topic is None:
                        return index
                    terms = topic.terms
                    topic.append(record, None, deadline, index % _LOOKS_EVERY == 0 or looked is not terms, places, index, False)
                    looked = terms
                    index += 1
            except UnknownPartition:
                return index
            except Exception as error:
                if places.batches[index] is not None:  # a signal handler's, when it was queued
                    raise
                places.failed(index, _failed(records, index, error))
                looked = None  # it may have waited
                index += 1
        return index

    def _append_one(
        self,
        records: list[Record],
        index: int,
        places: Places,
        producer: str | None,
        partitioner: Any,
        deadline: float,
        transaction: Any = None,
    ) -> None:
        """Queue a record, and note where it went; what befalls it is its alone, or its `transaction`'s."""
        try:
            self._append(records[index], producer, partitioner, deadline, places, index, False, None, transaction)
        except Exception as error:
            if places.batches[index] is not None:
                raise
            result = _failed(records, index, error)
            places.failed(index, result)
            if transaction is not None:
                transaction.fail(result.error)


@cython.cfunc
@cython.returns(list)
@cython.locals(records=list, topics=dict, start=cython.Py_ssize_t, record="Record", index=cython.Py_ssize_t)
def _peculiar(records: list[Record], topics: dict[str, Any], start: int) -> list[int]:
    """Of some records from `start` on, where those are that are not right at a glance, as most are."""
    found = []
    for index in range(start, min(start + AT_ONCE, len(records))):
        if type(records[index]) is Record:
            record = records[index]
            if (
                type(record.value) is bytes
                and (record.key is None or type(record.key) is bytes)
                and record.headers is NO_HEADERS
                and record.partition is None
                and record.timestamp_ms is None
                and type(record.topic) is str
                and record.topic in topics
            ):
                continue
        found.append(index)
    return found


@cython.cfunc
@cython.returns(set)
@cython.locals(records=list, topics=dict, record="Record")
def _unknown_names(records: list[Record], topics: dict[str, Any]) -> set[str]:
    found = set()
    for record in records:
        if record.topic not in topics:
            found.add(record.topic)
    return found


def _failed(records: list[Record], index: int, error: Exception) -> Undelivered:
    """The result of a record that was not even queued. What is no ProduceError, as of a partitioner that
    raises, is its error's cause.

    Without tracebacks: those know all frames that it went through, and these know the delivery that is about
    to know it.
    """
    record = records[index]
    if isinstance(error, UnknownPartition):
        told: ProduceError = UnknownPartition(
            f"records[{index}]: {error}", topic=error.topic, partition=error.partition, retriable=True
        )
    elif isinstance(error, ProduceError):
        told = error.copy()
    else:
        what = str(error) if isinstance(error, KlifeError) else f"{type(error).__name__}: {error}"
        told = ProduceError(f"records[{index}]: {what}", topic=record.topic, retriable=getattr(error, "retriable", False) is True)
        told.__cause__ = error
    _forget_frames(told.__cause__)
    return Undelivered(record.topic, record.value, record.key, record.headers, record.partition, record.timestamp_ms, told)


def _forget_frames(error: BaseException | None) -> None:
    """Take the tracebacks from `error`, and from what it was raised for."""
    seen: set[int] = set()
    left = [error]
    while left:
        error = left.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            error.__traceback__ = None
            left += (error.__cause__, error.__context__)
