"""`AppendOne`: how a record comes in: the fast path, for records of topics that are known already, and the slow
path for all others.

The slow path is also that of a record which asks for a producer or a partitioner of its own. The fast one
runs once a record, in methods whose types the compiler knows. What it reads is of the engine that the client
was bound to when a record last went the slow path: an engine that has ended has no topics, so the next record
finds its successor.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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
from klife.actors.runtime.forked import first_byte, is_forked, page, take_note
from klife.actors.runtime.latch import get_thread_ident
from klife.api.from_thread import call_at_home
from klife.api.handle import Handle
from klife.errors import BufferFull, ClientClosed, InvalidRecordType, UnknownPartition
from klife.record import Record
from klife.words import kind_of

if cython.compiled:
    import cython
    from cython.cimports.cpython.pythread import PyThread_get_thread_ident

_AT_ONCE = 0.0  # a deadline that has passed
_page = cython.declare("unsigned char[::1]", page)


class AppendOne:
    """What takes records for a client, one by one. Its methods are for the home thread, except for
    `from_thread`, `join` and `accepted_in`.
    """

    __slots__ = ("_handle", "_producers", "_topics", "_known", "_home", "_own_thread", "_owners")

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
        self._topics = producers.plain_topics
        self._known = producers.topics
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
            transaction = self.open_transaction()
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
        return self._join_here(topic, taken, wanted, callback)

    def _join_here(self, topic: Any, record: Record, wanted: bool, callback: Any) -> Any:
        try:
            return topic.append(record, None, _AT_ONCE, True, None, 0, wanted, callback)
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
                f"partitioner is {kind_of(partitioner)}; expected an object with partition(record, partition_count) -> int"
            )
        if deadline is None:
            deadline = monotonic() + self._handle.engine.settings.max_block
        validation.check(record)
        if transaction is not None:
            topic = transaction.topic(record.topic, deadline)
            transaction.check()
            joined = transaction.producer
            try:
                joined.joining += 1  # in here: a signal handler may raise after any call, and it is to be taken back once
                taken = self._append_to(topic, record, partitioner, deadline, places, at, wanted, callback)
            finally:
                joined.joining -= 1
                transaction.joined()
            return taken
        engine = self._handle.current(deadline)
        producers = self._producers if engine is self._producers.engine else self._follow(engine)
        topic = producers.topic(record.topic, producer, deadline)
        taken = self._append_to(topic, record, partitioner, deadline, places, at, wanted, callback)
        if engine.exiting is not None:
            engine.exiting()
        return taken

    def _append_to(
        self,
        topic: Any,
        record: Record,
        partitioner: Any,
        deadline: float,
        places: Places | None,
        at: int,
        wanted: bool,
        callback: Any,
    ) -> Any:
        try:
            return topic.append(record, partitioner, deadline, True, places, at, wanted, callback)
        except UnknownPartition as beyond:
            if beyond.partition is None or not topic.await_partition(beyond.partition, deadline, record.partition is None):
                raise
            return topic.append(record, partitioner, deadline, True, places, at, wanted, callback)

    def join(self, transaction: Any, record: Record, producer: str | None, partitioner: Any, wanted: bool, callback: Any) -> Any:
        """As `Topic.append`, in `transaction`. From any thread."""
        take_note()
        try:
            if producer is None and partitioner is None:
                taken = transaction.append(record, wanted, callback)
                if taken is not None:
                    return taken
            transaction.check(producer)
            engine = transaction.pool.engine
            if get_hub_if_exists() is not engine.hub:
                joins = partial(AppendOne.join, self, transaction, record, None, partitioner, wanted, callback)
                return call_at_home(engine, joins, None, NOT_QUEUED)
            return self._append(record, None, partitioner, None, None, 0, wanted, callback, transaction)
        except ClientClosed:
            transaction.check()  # it has ended while the record waited
            raise

    def accepted_in(self, transaction: Any, record: Record, partitioner: Any, wanted: bool, callback: Any) -> Any:
        """As `accepted`, in `transaction`: for a record that comes from its caller right now. From any thread."""
        return self.join(transaction, record, None, partitioner, wanted, callback)

    def open_transaction(self) -> Any:
        """The transaction that what the calling greenlet produces joins, if it has one open."""
        transaction = self._owners.get(getcurrent()) if self._owners else None
        return None if transaction is None or transaction.owner.has_lost_block else transaction
