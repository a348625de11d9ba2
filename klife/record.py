# distutils: define_macros=CYTHON_USE_TYPE_SPECS=1
"""`Record`: what a user sends, and what comes back.

A plain value of the leaf layer. It checks nothing when built: the call that takes it does, because only there
is the error's reader (and a record is built more often than anything else here, so its constructor stays
bare).

Results are new records with `offset`, `partition`, `timestamp_ms` and `error` filled in: `Delivered`, or
`Undelivered`. Those fields are class attributes of `Record` and slots there, so that a user's record pays
only for the six fields it has.

`Record` and `Delivered` are the most numerous objects, so the compiled core keeps them from cyclic garbage
collection (`no_gc`). Never give one a field that refers to an exception: its traceback refers to every frame,
and would close a cycle that the collector cannot see. `Undelivered` has such a field, and the collector looks
at it. A value that is to be serialised may be anything, and is its user's: klife has it until it is bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copyreg import __newobj__  # type: ignore[attr-defined]  # pickle knows it by that name
from types import GenericAlias
from typing import Any

from klife import cython_shim as cython
from klife import record_signature
from klife.errors import BatchError, InvalidRecordType, ProduceError
from klife.words import counted, kind_of
from klife.wrong_self import refuse_wrong_self

if cython.compiled:
    import cython
    from cython.cimports.klife.capi import Py_EnterRecursiveCall, Py_LeaveRecursiveCall
    from cython.cimports.klife.freeing import free_one_by_one
    from cython.cimports.klife.making import take_calls

Header = tuple[str, bytes | None]

_NAMES = ("topic", "value", "key", "headers", "partition", "timestamp_ms", "offset", "error", "error_code")


@cython.no_gc
@cython.cclass
class Record:
    """A Kafka record.

    Args:
        topic: the topic's name.
        value: the payload in bytes, or what the topic's `value_serializer` makes bytes of; None is a tombstone.
        key: bytes, or what the topic's `key_serializer` makes bytes of; or None. The default partitioner sends
            equal keys to one partition.
        headers: a list or tuple of `(str, bytes | None)` tuples; order and duplicates are kept.
        partition: the partition to write to; None lets the partitioner choose.
        timestamp_ms: CreateTime in milliseconds since 1970 (UTC); None is the time of `produce`.

    Enums and other subclasses of str, bytes and int are taken for the plain value that they are, and integers
    of other kinds (numpy's) for ints; but a bool is no number.

    For type checkers it is a `Record[V, K]`, with the types of value and key, which are bytes unless the constructor
    is given something else.

    Records are equal, and have one hash, where their fields are: do not change one that is in a set or the
    key of a dict.

    On a record returned by klife, `offset`, `partition` and `timestamp_ms` say where it was written, `error`
    is a `ProduceError` or None, and `error_code` is 0 when delivered; else the code of the brokers' last
    refusal, or None where they gave none.
    """

    __slots__ = ("topic", "value", "key", "headers", "partition", "timestamp_ms")

    offset: int | None = None
    error: ProduceError | None = None
    error_code: int | None = None

    __class_getitem__ = classmethod(GenericAlias)  # `Record[Order]`, which means something to type checkers (`record.pyi`)

    def __init__(
        self,
        topic: str,
        value: Any,
        key: Any = None,
        headers: Sequence[Header] = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        self.topic = topic
        self.value = value
        self.key = key
        self.headers = headers
        self.partition = partition
        self.timestamp_ms = timestamp_ms

    @staticmethod
    def verify_batch(results: Iterable[Record]) -> list[Record]:
        """Return `results` as a list when every record was delivered, or raise `BatchError` with `.delivered`
        and `.failed`.
        """
        records = list(results)
        for record in records:
            if not isinstance(record, Record):
                raise InvalidRecordType(
                    f"verify_batch takes the records a batch returned; one of them is {kind_of(record)}. "
                    "Pass client.produce_batch(records).get()."
                )
        failed = [record for record in records if record.error is not None]
        if failed:
            raise BatchError([record for record in records if record.error is None], failed)
        return records

    def delivered(self, offset: int | None = 0, *, partition: int | None = None, timestamp_ms: int | None = None) -> Delivered:
        """A result as if this record had been delivered, for doubles in tests. Its partition is the one given,
        else this record's own, else 0; its timestamp the one given, else this record's own.
        """
        topic, value, key, headers, own_partition, own_time, *_ = self._values()
        if partition is None:
            partition = 0 if own_partition is None else own_partition
        return Delivered(topic, value, key, headers, partition, own_time if timestamp_ms is None else timestamp_ms, offset)

    def failed(self, error: ProduceError) -> Undelivered:
        """A result as if this record had not been delivered, for `error`; for doubles in tests.

        Raises:
            InvalidRecordType: `error` is no ProduceError.
        """
        if not isinstance(error, ProduceError):
            raise InvalidRecordType(f"error is {kind_of(error)}; a record fails with a ProduceError")
        topic, value, key, headers, partition, timestamp_ms, *_ = self._values()
        return Undelivered(topic, value, key, headers, partition, timestamp_ms, error)

    def __repr__(self) -> str:
        # Sizes, never contents: keys and values may be personal data, and a repr ends up in logs.
        topic, value, key, headers, *rest = self._values()
        parts = [f"topic={topic!r}", f"value={_size(value)}", f"key={_size(key)}"]
        if headers:
            parts.append(f"headers={len(headers)}")
        names = ("partition", "timestamp_ms", "offset", "error")
        parts += [f"{name}={value!r}" for name, value in zip(names, rest, strict=False) if value is not None]
        return f"Record({', '.join(parts)})"

    def _values(self) -> list[Any]:
        """Those of all fields, in order; None for one that was never set, as it is in the compiled core."""
        return [getattr(self, name, None) for name in _NAMES]

    def _fields(self) -> tuple[object, ...]:
        topic, value, key, headers, partition, timestamp_ms, offset, error, error_code = self._values()
        # Each who is told of an error has one of his own.
        what = None if error is None else (type(error), error.args)
        return topic, value, key, tuple(headers or ()), partition, timestamp_ms, offset, what, error_code

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        topic, value, key, _headers, partition, timestamp_ms, offset, *_ = self._values()
        if cython.compiled:
            Py_EnterRecursiveCall(b" while a record was hashed")
        try:
            return hash((topic, value, key, partition, timestamp_ms, offset))
        finally:
            if cython.compiled:
                Py_LeaveRecursiveCall()

    def __reduce__(self) -> tuple[Any, ...]:
        return __newobj__, (type(self),), object.__getstate__(self)


@cython.no_gc
@cython.cclass
class Delivered(Record):
    """A record that was delivered, as `Delivery.get` returns it: with its partition, and its offset where the
    broker told that.

    (It does not with `acks=0`, nor where it knows the record from an earlier attempt and not its place.)
    """

    __slots__ = ("offset",)

    partition: int

    error_code: int | None = 0

    def __init__(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: Sequence[Header],
        partition: int,
        timestamp_ms: int | None,
        offset: int | None,
    ) -> None:
        self.topic = topic
        self.value = value
        self.key = key
        self.headers = headers
        self.partition = partition
        self.timestamp_ms = timestamp_ms
        self.offset = offset


class Undelivered(Record):
    """The result of a record that was not, or not certainly, written. Users see it as a `Record`."""

    __slots__ = ("error", "error_code")

    def __init__(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: Sequence[Header],
        partition: int | None,
        timestamp_ms: int | None,
        error: ProduceError,
    ) -> None:
        super().__init__(topic, value, key, headers, partition, timestamp_ms)
        self.error = error
        self.error_code: int | None = error.error_code

    def again(self) -> Undelivered:
        """The same with an error of its own: whoever raises that ties it to all that is going on in his
        frames.
        """
        assert self.error is not None
        return Undelivered(self.topic, self.value, self.key, self.headers, self.partition, self.timestamp_ms, self.error.copy())


if not cython.compiled:
    refuse_wrong_self(Record, "__init__")


def _size(data: Any) -> str:
    if isinstance(data, bytes):
        return f"<{counted(len(data), 'byte')}>"
    return "None" if data is None else f"<{type(data).__name__}>"


@cython.cfunc
@cython.locals(record="Record")
def _made(topic: Any, value: Any, key: Any, headers: Any, partition: Any, timestamp_ms: Any) -> Any:
    """What the constructor does, for `take_calls`."""
    record = Record.__new__(Record)
    record.topic = topic
    record.value = value
    record.key = key
    record.headers = headers
    record.partition = partition
    record.timestamp_ms = timestamp_ms
    return record


if cython.compiled:
    free_one_by_one(Record, Delivered)
    take_calls(Record, _made, record_signature.Record.__init__, _NAMES[:6], (None, (), None, None))
