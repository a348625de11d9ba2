"""`Intake`: how records come in: the straight way, of one and of many, and the long one.

The long way is that of a record whose topic is new, or which asks for a producer or a partitioner of its own. The straight one runs
once a record, in methods whose types the compiler knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import Any

from klife.actors.producer import validation
from klife.actors.producer.batch import Batch
from klife.actors.producer.places import Places
from klife.actors.runtime.forked import page, take_note
from klife.actors.runtime.latch import get_thread_ident
from klife.actors.runtime.turn import AT_ONCE, breathe
from klife.api.bound import Bound
from klife.core import is_compiled
from klife.errors import InvalidRecordType, ProduceError
from klife.record import Record
from klife.undelivered import Undelivered

_NO_HEADERS: tuple[()] = ()  # the one empty tuple there is: the default of a record's headers
_LOOKS_EVERY = 64  # records of one call between two looks at the clock
_page = page
_IN_C = is_compiled(__file__)  # where PyThread_get_thread_ident is C's, of the .pxd


class Intake(Bound):
    """What takes records for the engine. Its methods are for the home thread, except for `_checked`."""

    __slots__ = ()

    def _accepted(self, record: Record, producer: str | None, partitioner: Any) -> Batch | None:
        """Queue `record` and return its batch, of which it is the last; None if this is not the home thread, and nothing was done."""
        if (PyThread_get_thread_ident() if _IN_C else get_thread_ident()) != self._home:  # type: ignore  # noqa: F821
            return None
        if not _page[0]:  # this process was forked
            take_note()
        if type(record) is not Record or producer is not None or partitioner is not None:
            return self._append(record, producer, partitioner, None)
        taken = record  # to the compiler, which knows its type now
        try:
            route = self._routes[taken.topic]
        except (KeyError, TypeError):
            route = None
        return self._append(record, None, None, None) if route is None else route.append(taken, None, None)

    def _append(self, record: Record, producer: str | None, partitioner: Any, deadline: float | None) -> Batch:
        """The way of a record whose topic is new, or which asks for a producer or partitioner of its own."""
        if not isinstance(record, Record):
            raise validation.not_a_record(record)
        # A str has a method of that name, and a class is not yet an object.
        wrong = isinstance(partitioner, (str, type)) or not callable(getattr(partitioner, "partition", None))
        if partitioner is not None and wrong:
            raise InvalidRecordType(
                f"partitioner is a {type(partitioner).__name__}; expected an object with partition(record, partition_count) -> int"
            )
        if deadline is None:
            deadline = monotonic() + self._engine.settings.max_block
        validation.check(record)
        engine = self._current(deadline)
        route = engine.route(record.topic, producer, deadline)
        batch: Batch = route.append(record, partitioner, deadline)
        if engine.exiting is not None:
            if batch is batch.queue.open:
                batch.queue.close()  # so that it stays the last of its batch while others run
            engine.exiting()
        return batch

    def _checked(self, records: Iterable[Record]) -> list[Record]:
        """`records` as a list, if all are right. From any thread: what a generator does, it does in its caller's.

        Raises:
            InvalidRecordType, InvalidRecordValue: one is not, and the text tells which.
        """
        if isinstance(records, Record):
            raise InvalidRecordType("produce_batch takes an iterable of Records, got one Record; use produce(record) for a single one")
        try:
            listed = list(records)
        except TypeError:
            raise InvalidRecordType(f"produce_batch takes an iterable of Records, got a {type(records).__name__}") from None
        for start in range(0, len(listed), AT_ONCE):
            if start:
                breathe(self._home)
            for index in _peculiar(listed, self._routes, start):
                validation.check(listed[index], f"records[{index}]")
        return listed

    def _take(self, records: list[Record], producer: str | None, partitioner: Any) -> Places:
        """Queue `records`, which are checked, and return where they went, or for what errors they did not.

        All together may wait `max_block_ms`.

        Raises:
            ClientClosed, InvalidRecordType, InvalidRecordValue: the client was stopped; there is no such producer. Nothing was queued.
        """
        deadline = monotonic() + self._engine.settings.max_block
        engine = self._current(deadline)
        if producer is not None:
            engine.accumulator(producer)
        places = Places(len(records), self._home)
        unknown = _topics_without_route(records, self._routes) - engine.cluster.snapshot.topics.keys()
        if unknown or producer is not None or partitioner is not None:
            engine.cluster.ask_for(unknown)
            # Records of topics that may have to be waited for, perhaps in vain, come last: a topic's own records stay in order.
            for index in sorted(range(len(records)), key=lambda index: records[index].topic in unknown):
                self._append_one(records, index, places, producer, partitioner, deadline)
            return places
        index = 0
        while (index := self._append_straight(records, index, places, deadline)) < len(records):
            self._append_one(records, index, places, None, None, deadline)
            index += 1
        return places

    def _append_straight(self, records: list[Record], index: int, places: Places, deadline: float) -> int:
        """Queue `records` from `index` on, and note where they went; return where the first is that must go the long way."""
        looked = None  # whose clock: topics may have producers of their own
        while index < len(records):
            try:
                while index < len(records):
                    if type(records[index]) is not Record:
                        return index
                    record = records[index]
                    # Looked up anew for each: while one waits for room, its topic may go.
                    route = self._routes.get(record.topic)
                    if route is None:
                        return index
                    hub_watch = route._hub_watch
                    batch = route.append(record, None, deadline, index % _LOOKS_EVERY == 0 or looked is not hub_watch)
                    looked = hub_watch
                    places.batches[index] = batch
                    places.indices[index] = batch.count - 1
                    index += 1
            except Exception as error:  # noqa: BLE001 - others are queued already: whatever it is, it is this record's alone
                places.failed(index, _failed(records, index, error))
                looked = None  # it may have waited
                index += 1
        return index

    def _append_one(
        self, records: list[Record], index: int, places: Places, producer: str | None, partitioner: Any, deadline: float
    ) -> None:
        """Queue a record, and note where it went; what befalls it is its alone."""
        try:
            batch = self._append(records[index], producer, partitioner, deadline)
        except Exception as error:  # noqa: BLE001 - as above
            places.failed(index, _failed(records, index, error))
        else:
            places.batches[index] = batch
            places.indices[index] = batch.count - 1


def _peculiar(records: list[Record], routes: dict[str, Any], start: int) -> list[int]:
    """Of some records from `start` on, where those are that are not right at a glance, as most are."""
    found = []
    for index in range(start, min(start + AT_ONCE, len(records))):
        if type(records[index]) is Record:
            record = records[index]
            if (
                type(record.value) is bytes
                and (record.key is None or type(record.key) is bytes)
                and record.headers is _NO_HEADERS
                and record.partition is None
                and record.timestamp_ms is None
                and type(record.topic) is str
                and record.topic in routes
            ):
                continue
        found.append(index)
    return found


def _topics_without_route(records: list[Record], routes: dict[str, Any]) -> set[str]:
    found = set()
    for record in records:
        if record.topic not in routes:
            found.add(record.topic)
    return found


def _failed(records: list[Record], index: int, error: Exception) -> Record:
    """The result of a record that was not even queued."""
    record = records[index]
    if not isinstance(error, ProduceError):
        error = ProduceError(f"records[{index}]: {error}", topic=record.topic)
    return Undelivered(record.topic, record.value, record.key, record.headers, record.partition, record.timestamp_ms, error)
