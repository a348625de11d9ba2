"""`Append`: how records come in, one by one (`AppendOne`) and many at once.

Those of a batch are checked before the first is queued. Each then takes the fast path while its topic is
known; what befalls one that has to go the slow path, to wait perhaps, is its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gevent._hub_local import get_hub_if_exists

from klife import cython_shim as cython
from klife.actors.closed import NOT_QUEUED
from klife.actors.producer import keyless_run, validation
from klife.actors.producer.delivery import Places
from klife.actors.producer.validation import NO_HEADERS, exact_str
from klife.actors.runtime.forked import take_note
from klife.actors.runtime.loop_budget import AT_ONCE, let_home_run
from klife.api.append_one import AppendOne
from klife.api.from_thread import call_at_home
from klife.errors import InvalidRecordType, KlifeError, ProduceError, UnknownPartition
from klife.record import Record, Undelivered
from klife.words import kind_of

if cython.compiled:
    import cython

_NO_NAME = object()
_LOOKS_EVERY = cython.declare(cython.Py_ssize_t, 64)  # records of one call between two looks at the clock


class Append(AppendOne):
    """What takes records for a client. Its methods are for the home thread, except for those of `AppendOne`
    that are not, `checked` and `join_all`.
    """

    __slots__ = ()

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
            self._append_at(records, index, places, None, partitioner, deadline, transaction)
        return places

    def checked(self, records: Iterable[Record]) -> list[Record]:
        """`records` as a list, if all are right. From any thread: what a generator does, it does in its
        caller's.

        Raises:
            InvalidRecordType, InvalidRecordValue: one is not, and the text tells which.
        """
        return self._right(self._listed(records))

    def _listed(self, records: Iterable[Record]) -> list[Record]:
        if isinstance(records, Record):
            raise InvalidRecordType("produce_batch takes an iterable of Records, got one Record; use produce(record) for a single one")
        try:
            each = iter(records)
        except TypeError as error:
            raise InvalidRecordType(f"produce_batch takes an iterable of Records, got {kind_of(records)}") from error
        return list(each)  # what a generator raises is its caller's

    def _right(self, listed: list[Record]) -> list[Record]:
        for start in range(0, len(listed), AT_ONCE):
            if start:
                let_home_run(self._handle.engine.hub)
            try:
                peculiar = _peculiar(listed, self._topics, start)
            except AttributeError:  # a record without one of its fields: whichever it is
                peculiar = list(range(start, min(start + AT_ONCE, len(listed))))
            for index in peculiar:
                self._look_at(listed, index)
        return listed

    def _look_at(self, listed: list[Record], index: int) -> None:
        """Raise for `listed[index]`, if it is wrong."""
        validation.check(listed[index], f"records[{index}]")

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
        unknown = set(map(exact_str, _unknown_names(records, self._known))) - engine.metadata.snapshot.topics.keys()
        if unknown or producer is not None or partitioner is not None:
            self._append_rest(records, 0, unknown, places, producer, partitioner, deadline)
            return places
        index = 0
        while (index := self._append_straight(records, index, places, deadline)) < len(records):
            if type(records[index]) is Record and records[index].topic in self._known:  # there is no such partition, or not yet
                self._append_rest(records, index, unknown, places, None, None, deadline)
                break
            self._append_at(records, index, places, None, None, deadline)
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
                self._append_at(records, index, places, producer, partitioner, deadline)

    @cython.locals(topic="Topic", record="Record", looked="Terms", terms="Terms", looks=cython.bint, looks_from=cython.Py_ssize_t)
    def _append_straight(self, records: list[Record], index: int, places: Places, deadline: float) -> int:
        """Queue `records` from `index` on, and note where they went; return where the first is that must go
        the slow path.
        """
        looked = None  # whose clock: topics may have producers of their own
        looks_from = index
        while index < len(records):
            try:
                while index < len(records):
                    if type(records[index]) is not Record:
                        return index
                    record = records[index]
                    # Looked up anew for each: while one waits for room, its topic may go.
                    topic = self._known.get(record.topic)
                    if topic is None:
                        return index
                    terms = topic.terms
                    looks = index >= looks_from or looked is not terms
                    if looks:
                        looks_from = index + _LOOKS_EVERY
                        looked = terms
                    if not cython.compiled and record.key is None:
                        joined = keyless_run.join(topic, records, index, places, looks)
                        if joined:
                            index += joined
                            continue
                    topic.append(record, None, deadline, looks, places, index, False)
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

    def _append_at(
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
    known: Any = _NO_NAME  # a topic's, and mostly the next record's, too
    for index in range(start, min(start + AT_ONCE, len(records))):
        if type(records[index]) is Record:
            record = records[index]
            if (
                type(record.value) is bytes
                and (record.key is None or type(record.key) is bytes)
                and record.headers is NO_HEADERS
                and record.partition is None
                and record.timestamp_ms is None
                and (record.topic is known or (type(record.topic) is str and record.topic in topics))
            ):
                known = record.topic
                continue
        found.append(index)
    return found


@cython.cfunc
@cython.returns(set)
@cython.locals(records=list, topics=dict, record="Record")
def _unknown_names(records: list[Record], topics: dict[str, Any]) -> set[str]:
    found = set()
    looked_up: Any = _NO_NAME
    for record in records:
        if record.topic is not looked_up:
            looked_up = record.topic
            if looked_up not in topics:
                found.add(looked_up)
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
