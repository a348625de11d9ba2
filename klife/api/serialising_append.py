"""`SerialisingAppend`: an `Append` for topics whose keys or values are no bytes yet. They become bytes in the
greenlet or thread of who produces them, before anything is queued.

The fast path knows only topics without serializers, which pay nothing. A record of another one goes the slow
path, or comes from another thread, or joins a transaction, or is one of a batch: it is serialised at whichever
of these it comes to first, and from there on is a record of bytes as any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from time import monotonic
from typing import Any

from klife.actors.producer import validation
from klife.actors.producer.serializers import TopicSerializers
from klife.actors.runtime.forked import take_note
from klife.actors.runtime.loop_budget import let_home_run
from klife.api.append import Append
from klife.api.observed_append import ObservedAppend
from klife.errors import SerializationError
from klife.record import Record
from klife_supervision.let_hub_run import TURN_SECONDS

_all_fields = attrgetter("key", "value", "headers", "partition", "timestamp_ms")


class _Serialises(Append):
    """What both have."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._held_for = 0.0  # seconds since batches that are serialised let the hub run

    def _serializers(self, record: Any) -> TopicSerializers | None:
        """Those of the topic of `record`, if it has any. What is no record, or has no topic, is for others to refuse."""
        topic = getattr(record, "topic", None)
        if not isinstance(topic, str) or not isinstance(record, Record):
            return None
        found: TopicSerializers | None = self._producers.serializers.get(topic)
        if found is not None:
            try:
                _all_fields(record)
            except AttributeError:  # one was never set
                validation.completed(record)
        return found

    def _serialised(self, record: Record[Any, Any]) -> Record:
        """What is produced in the place of `record`."""
        serializers = self._serializers(record)
        if serializers is None:
            return record
        take_note()
        return serializers.serialised(record, self._handle.by_max_block())

    def _look_at(self, listed: list[Record], index: int) -> None:
        """Serialise it, too."""
        began = monotonic()
        try:
            listed[index] = self._serialised(listed[index])
        except SerializationError as error:
            raise error.of(f"records[{index}]") from error.__cause__
        super()._look_at(listed, index)
        self._held_for += monotonic() - began
        if self._held_for > TURN_SECONDS:
            self._held_for = 0.0
            let_home_run(self._handle.engine.hub)


class SerialisingAppend(_Serialises):
    """The same as `Append`, for records that are serialised first."""

    def elsewhere(self, record: Record[Any, Any], producer: str | None, partitioner: Any, wanted: bool, callback: Any) -> Any:
        serialised = self._serialised(record)
        if serialised is record:
            return super().elsewhere(record, producer, partitioner, wanted, callback)
        if self._own_thread and producer is None and partitioner is None:
            topic = self._known.get(serialised.topic)
            if topic is not None:
                accepted = self._join_here(topic, serialised, wanted, callback)
                if accepted is not None:
                    return accepted
        append = super()._append
        return self.from_thread(lambda: append(serialised, producer, partitioner, None, None, 0, wanted, callback))

    def join(
        self, transaction: Any, record: Record[Any, Any], producer: str | None, partitioner: Any, wanted: bool, callback: Any
    ) -> Any:
        return super().join(transaction, self._serialised(record), producer, partitioner, wanted, callback)

    def _append(
        self,
        record: Record[Any, Any],
        producer: str | None,
        partitioner: Any,
        deadline: float | None,
        places: Any = None,
        at: int = 0,
        wanted: bool = True,
        callback: Any = None,
        transaction: Any = None,
    ) -> Any:
        if places is None and transaction is None:  # else it was serialised when it joined, or when its batch was checked
            serializers = self._serializers(record)
            if serializers is not None:
                if producer is not None or partitioner is not None or serializers.are_new_to(record):
                    deadline = self._handle.by_max_block()  # of both
                    record = serializers.serialised(record, deadline)
                else:
                    record = serializers.serialise(record)
                    topic = self._known.get(record.topic)
                    if topic is not None:
                        return topic.append(record, None, None, True, None, 0, wanted, callback)
        return super()._append(record, producer, partitioner, deadline, places, at, wanted, callback, transaction)


class ObservedSerialisingAppend(_Serialises, ObservedAppend):
    """The same as `ObservedAppend`, for records that are serialised when hooks have seen them."""

    def checked(self, records: Iterable[Record[Any, Any]]) -> list[Record]:
        shown = [self._observer.shown(record) for record in self._listed(records)]
        try:
            return self._right(list(shown))
        except BaseException as error:
            self._all_refused(shown, error)
            raise
