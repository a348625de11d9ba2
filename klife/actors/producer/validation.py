"""What a record's fields must be, and the errors that say so. Called by the hot path only for what is out of
the ordinary.

An error names the field, the type it has, what is expected and what to do; never the contents of a key or a
value.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import index

from klife.errors import InvalidRecordType, InvalidRecordValue, KlifeError, RecordTooLarge
from klife.record import Record
from klife.topic_name import is_legal_topic
from klife.words import kind_of, with_article

NO_HEADERS: tuple[()] = ()  # the one empty tuple there is: the default of a record's headers

_MAX_TIMESTAMP_MS = 2**63 - 1
_FIELDS = ("topic", "value", "key", "headers", "partition", "timestamp_ms")
_HEADER_OVERHEAD = 10  # two lengths as varints of at most five bytes

Headers = Sequence[tuple[str, bytes | None]]


def exact_str(text: str) -> str:
    """`text` as a plain str, of a subclass (an enum of names, say) too: its letters, whatever its `__str__`
    would say.
    """
    return str.__str__(text)


def exact_bytes(data: bytes) -> bytes:
    """`data` as plain bytes, of a subclass too."""
    return data if type(data) is bytes else bytes.__getitem__(data, slice(None))


def exact_int(value: object) -> int | None:
    """`value` as a plain int if it is an integer of any kind (of an enum, numpy's), and None if not. A bool
    is none.
    """
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):  # numpy's bool was an integer once
        return None
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def payload(record: Record, field: str) -> bytes:
    """The record's key or value, which is not plain bytes, as such."""
    data = getattr(record, field)
    if not isinstance(data, bytes):
        raise invalid_payload(record, field)
    return exact_bytes(data)


def invalid_payload(record: Record, field: str) -> KlifeError:
    """The error for a key or value that is neither bytes nor None."""
    got = type(getattr(record, field)).__name__
    hint = {
        "str": f"encode it first: {field}=text.encode()",
        "bytearray": f"copy it first: {field}=bytes(data)",
        "memoryview": f"copy it first: {field}=bytes(data)",
        "dict": f"serialise it first, e.g. {field}=json.dumps(data).encode()",
    }.get(got, "serialise it to bytes first")
    what = "bytes, or None for a tombstone" if field == "value" else "bytes or None"
    return InvalidRecordType(f"Record.{field} is {with_article(got)}; expected {what} ({hint}). The record was not queued.")


def not_a_record(value: object) -> KlifeError:
    """The error for something else where a record belongs."""
    return InvalidRecordType(
        f"expected a klife.Record, got {kind_of(value)}; make one with Record(topic='...', value=b'...'). Nothing was queued."
    )


@lru_cache(maxsize=64)
def _check_class(cls: type[Record]) -> None:
    """Raise for a subclass with fields of its own making: what is checked here, and what is written, may be
    two things then.
    """
    for field in _FIELDS:
        if getattr(cls, field) is not getattr(Record, field):
            raise InvalidRecordType(
                f"{cls.__name__} is a Record whose {field} is of its own making; expected a subclass that leaves {', '.join(_FIELDS)} "
                "alone: set them by Record's constructor. The record was not queued."
            )


def not_a_callback(value: object) -> KlifeError:
    """The error for a callback that can not be called: when its turn came, there would be nobody left to tell
    but the log.
    """
    return InvalidRecordType(f"callback is {kind_of(value)}; expected a function of one argument, or None. Nothing was queued.")


def checked_topic(topic: object, what: str = "Record.topic", so: str = " The record was not queued.") -> str:
    """`topic`, if Kafka allows it as a name; `what` is it called, and `so` is what comes of a wrong one."""
    if not isinstance(topic, str):
        raise InvalidRecordType(f"{what} is {kind_of(topic)}; expected the topic's name as a str.{so}")
    topic = exact_str(topic)
    if not is_legal_topic(topic):
        raise InvalidRecordValue(
            f"{what} is {topic!r}, which Kafka does not allow as a name: expected 1 to 249 of the characters a-z, A-Z, 0-9, "
            f"'.', '_' and '-'.{so}"
        )
    return topic


def checked_headers(record: Record) -> tuple[Headers, int]:
    """The record's headers as a tuple of their own (a caller may reuse its list), and a bound of their
    encoded size.
    """
    headers = record.headers
    if not isinstance(headers, (list, tuple)):
        raise InvalidRecordType(
            f"Record.headers is {kind_of(headers)}; expected a sequence of (str, bytes | None) pairs, e.g. "
            "[('trace', b'abc')]. The record was not queued."
        )
    size = 0
    kept: list[tuple[str, bytes | None]] = []
    for number, header in enumerate(headers):
        if not isinstance(header, tuple) or len(header) != 2:
            raise InvalidRecordType(
                f"Record.headers[{number}] is {kind_of(header)}"
                + (f" of {len(header)}" if isinstance(header, tuple) else "")
                + "; expected a (str, bytes | None) pair. The record was not queued."
            )
        name, value = header
        if not isinstance(name, str):
            raise InvalidRecordType(
                f"the name of Record.headers[{number}] is {kind_of(name)}; expected a str. The record was not queued."
            )
        if value is not None and not isinstance(value, bytes):
            raise InvalidRecordType(
                f"the value of Record.headers[{number}] is {kind_of(value)}; expected bytes or None. The record was not queued."
            )
        if type(name) is not str or type(value) is not bytes:
            name, value = exact_str(name), None if value is None else exact_bytes(value)
            header = name, value
        kept.append(header)
        try:
            encoded = len(name) if name.isascii() else len(name.encode())
        except UnicodeEncodeError:
            raise InvalidRecordValue(
                f"the name of Record.headers[{number}] can not be written as UTF-8 (it holds a lone surrogate). "
                "The record was not queued."
            ) from None
        size += encoded + (len(value) if value is not None else 0) + _HEADER_OVERHEAD
    return tuple(kept), size


def checked_timestamp(record: Record) -> int:
    """The record's explicit timestamp, if it is one."""
    given = record.timestamp_ms
    timestamp_ms = given if type(given) is int else exact_int(given)
    if timestamp_ms is None:
        raise InvalidRecordType(
            f"Record.timestamp_ms is {kind_of(given)}; expected an int of milliseconds since 1970, or None for now. "
            "The record was not queued."
        )
    if not 0 <= timestamp_ms <= _MAX_TIMESTAMP_MS:
        raise InvalidRecordValue(
            f"Record.timestamp_ms is {timestamp_ms}; expected milliseconds since 1970, from 0 to 2**63 - 1, or None for now. "
            "The record was not queued."
        )
    return timestamp_ms


def check(record: object, where: str = "") -> None:
    """Raise for a record that `append` would refuse whatever the cluster looks like. Used before a batch is
    queued.
    """
    try:
        if not isinstance(record, Record):
            raise not_a_record(record)
        _check_class(type(record))  # type: ignore[arg-type]  # a class is hashable, whatever its objects are
        checked_topic(record.topic)
        for field in ("value", "key"):
            data = getattr(record, field)
            if data is not None and not isinstance(data, bytes):
                raise invalid_payload(record, field)
        if record.headers != ():
            checked_headers(record)
        if record.timestamp_ms is not None:
            checked_timestamp(record)
        partition = None if record.partition is None else exact_int(record.partition)
        if partition is None and record.partition is not None:
            raise InvalidRecordType(
                f"Record.partition is {kind_of(record.partition)}; expected an int, or None to let the partitioner choose. "
                "The record was not queued."
            )
        if partition is not None and partition < 0:
            raise InvalidRecordValue(
                f"Record.partition is {partition}; expected an int from 0 on, or None to let the partitioner choose. "
                "The record was not queued."
            )
    except AttributeError:
        if not completed(record):
            raise
        check(record, where)
    except (InvalidRecordType, InvalidRecordValue) as error:
        if where:
            raise type(error)(f"{where}: {error}") from None
        raise


def completed(record: object) -> bool:
    """Give a record that the constructor did not make None for each field that was never set, which it has in
    the compiled core; return whether it needed any.
    """
    missing = [field for field in _FIELDS if not hasattr(record, field)] if isinstance(record, Record) else []
    for field in missing:
        setattr(record, field, None)
    return bool(missing)


def too_large_for_buffer(topic: str, size: int, limit: int) -> RecordTooLarge:
    """The error for a record that could never be buffered."""
    return RecordTooLarge(
        f"the record of topic {topic!r} is about {size} bytes, more than max_buffered_bytes ({limit}) can ever hold; raise it, or send "
        "smaller records. The record was not queued.",
        size=size,
        limit=limit,
        topic=topic,
    )
