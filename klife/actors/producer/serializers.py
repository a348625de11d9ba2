"""`TopicSerializers`: what makes bytes of the keys and values of one topic, in the greenlet or thread of who
produces.

The first use of a serializer may look something up: a schema in a registry. So it is one caller's, and the
others wait for it, lest a hundred greenlets ask the same at once. And where sockets are not patched, so that
waiting for one holds the hub, it is in the hub's thread pool. It is over when the serializer has returned,
whether or not its caller still waits; so it never holds more than one thread. If it fails, the next caller's is
the first.

Nobody waits who could not: in the hub, in an actor, or in the first use itself, of which a serializer that
produces would be a part.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from time import monotonic
from typing import Any

import gevent
from gevent import getcurrent
from gevent._hub_local import get_hub_if_exists
from gevent.monkey import is_module_patched

from klife.actors.producer.validation import NO_HEADERS, checked_headers
from klife.actors.runtime.forked import call_in_child
from klife.actors.runtime.latch import Latch, may_switch
from klife.actors.runtime.thread_pool import call_in_thread
from klife.errors import SerializationError
from klife.record import Record
from klife.serializer import SerializationContext, takes_context
from klife.words import kind_of

_first_uses: dict[TopicSerializers, _FirstUse] = {}
"""Those that go on now."""
call_in_child(_first_uses.clear)  # they go on in the parent


class TopicSerializers:
    """Those of `topic`; None where its keys or values are bytes."""

    def __init__(self, topic: str, key: Callable[..., Any] | None, value: Callable[..., Any] | None) -> None:
        self.topic = topic
        self._key = key
        self._value = value
        self._key_takes_context = key is not None and takes_context(key)
        self._value_takes_context = value is not None and takes_context(value)
        self._unused = {field for field, serializer in (("key", key), ("value", value)) if serializer is not None}

    def are_new_to(self, record: Record[Any, Any]) -> bool:
        """Whether one that `record` needs has not been used yet."""
        return bool(self._unused) and not self._unused.isdisjoint(self._needed(record))

    def serialised(self, record: Record[Any, Any], deadline: float) -> Record:
        """A record of bytes in the place of `record`, which may have headers more.

        Raises:
            SerializationError: a serializer raised something, or returned no bytes; or the first use of it, by
                somebody else or in another thread, was not over by `deadline` (monotonic seconds).
            InvalidRecordType, InvalidRecordValue: its headers are wrong.
        """
        while self.are_new_to(record):
            hub = get_hub_if_exists()
            if hub is not None and not may_switch():
                break
            use = _FirstUse(self, record)
            other = _first_uses.setdefault(self, use)  # one step, whatever threads there are
            if other.greenlet is getcurrent():
                break
            if other is use:
                if hub is None or is_module_patched("socket"):
                    use.run(use.serialise)
                else:
                    gevent.spawn(use.run, use.serialise_in_thread)  # which no end of its caller ends
            if not other.over.wait(deadline - monotonic()):
                raise self._not_over(record)
            if other is use:
                return use.result()
        return self.serialise(record)

    def _needed(self, record: Record[Any, Any]) -> list[str]:
        """The fields of `record` that are to be serialised. A tombstone is none, nor is a key that is not there."""
        fields = ["key"] if self._key is not None and record.key is not None else []
        if self._value is not None and record.value is not None:
            fields.append("value")
        return fields

    def serialise(self, record: Record[Any, Any]) -> Record:
        """As `serialised`, here and now, whether or not it is the first use."""
        key, value, headers = record.key, record.value, record.headers
        if self._key is not None and key is not None:
            key, headers = self._bytes_of(record, "key", self._key, self._key_takes_context, headers)
        if self._value is not None and value is not None:
            value, headers = self._bytes_of(record, "value", self._value, self._value_takes_context, headers)
        return Record(record.topic, value, key, headers, record.partition, record.timestamp_ms)

    def _bytes_of(
        self, record: Record[Any, Any], field: Any, serializer: Callable[..., Any], takes_context: bool, headers: Any
    ) -> tuple[bytes, Any]:
        """A field as bytes, and the headers as they are then, `headers` before."""
        given = getattr(record, field)
        if takes_context and headers is record.headers and headers is not NO_HEADERS:
            headers, _ = checked_headers(record)
        try:
            if not takes_context:
                data = serializer(given)
            else:
                context = SerializationContext(self.topic, field, list(headers))
                data = serializer(given, context)
                headers = context.headers or NO_HEADERS
        except Exception as error:
            raise self._failed(given, field, f"raised {type(error).__name__}, which is this error's __cause__") from error
        if not isinstance(data, bytes):
            hint = "; encode it first" if isinstance(data, str) else ""
            raise self._failed(given, field, f"returned {'None' if data is None else kind_of(data)}, expected bytes{hint}")
        return data, headers

    def _failed(self, given: object, field: str, what: str) -> SerializationError:
        return SerializationError(
            f"the {field}_serializer of topic {self.topic!r}, given {kind_of(given)}, {what}. The record was not queued.",
            topic=self.topic,
            field=field,
        )

    def _not_over(self, record: Record[Any, Any]) -> SerializationError:
        return SerializationError(
            f"the serializers of topic {self.topic!r} are used for the first time, and were not through within max_block_ms. The "
            "record was not queued.",
            topic=self.topic,
            field=self._needed(record)[0],
            retriable=True,
        )


class _FirstUse:
    """A first use, by who serialises `record`."""

    def __init__(self, serializers: TopicSerializers, record: Record[Any, Any]) -> None:
        self._serializers = serializers
        self._record = record
        self._context = copy_context()
        self._result: Record | None = None
        self._error: BaseException | None = None
        self.over = Latch()
        self.greenlet: Any = None  # in which the serializers run

    def run(self, serialise: Callable[[], Record]) -> None:
        """Have the record serialised, and tell that it is over; what a serializer raised, it has."""
        try:
            self._result = serialise()
        except Exception as error:  # noqa: BLE001 - `result` raises it, where it belongs
            self._error = error
        finally:
            if _first_uses.get(self._serializers) is self:
                del _first_uses[self._serializers]
            self.over.set()

    def serialise(self) -> Record:
        self.greenlet = getcurrent()
        serialised = self._serializers.serialise(self._record)
        self._serializers._unused.difference_update(self._serializers._needed(self._record))
        return serialised

    def serialise_in_thread(self) -> Record:
        serialised: Record = call_in_thread(self._context.run, self.serialise)
        return serialised

    def result(self) -> Record:
        error, self._error = self._error, None
        if error is None:
            assert self._result is not None
            return self._result
        try:
            raise error
        finally:
            del error  # it knows this frame
