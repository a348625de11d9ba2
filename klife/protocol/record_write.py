"""Writing records byte by byte into one buffer: what the compiled core does, because in C that is the quickest way.

`records` calls this when it is compiled. In pure Python the same functions write the same bytes (tests/protocol/test_records.py
compares both ways with a third) but take ten times as long as joining ready pieces, which is what is done there instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from klife.core import is_compiled
from klife.protocol.checksum import crc32c
from klife.protocol.record_layout import CHECKED, CHECKED_FROM, LENGTH_FROM, MAGIC
from klife.protocol.record_parts import encode_varint, record_parts

IS_QUICK: Final = is_compiled(__file__)
"""Whether this module is compiled."""

_IN_C = IS_QUICK  # for the compiler, a C variable
_HEADER_SIZE: Final = CHECKED.size
_CHANGED = "the records of a batch were changed while they were encoded"
_LARGEST = 0x7FFFFFFF - (CHECKED_FROM - LENGTH_FROM)


def write_payload(fields: Sequence[Any]) -> tuple[bytes, int, int]:
    """`records.encode_payload`, for at least one record."""
    general: list[bytes] = []
    size = _size(fields, general)
    payload = _exactly(size)
    p = payload
    _put_records(p, 0, size, fields, general)
    return _done(payload), fields[3], _latest(fields)


def write_batch(fields: Sequence[Any], producer_id: int, producer_epoch: int, base_sequence: int) -> tuple[bytes, bytes]:
    """`records.encode_plain`, for at least one record: what the CRC does not cover, and what it does, which is written only once."""
    count, first_timestamp = len(fields) >> 2, fields[3]
    general: list[bytes] = []
    size = _HEADER_SIZE + _size(fields, general)
    if size > _LARGEST:
        raise OverflowError(f"a batch of {size} bytes is more than the protocol's {_LARGEST}")
    checked = _exactly(size)
    p = checked
    at = _put_number(p, 0, 0, 2)  # attributes
    at = _put_number(p, at, count - 1, 4)
    at = _put_number(p, at, first_timestamp, 8)
    at = _put_number(p, at, _latest(fields), 8)
    at = _put_number(p, at, producer_id, 8)
    at = _put_number(p, at, producer_epoch, 2)
    at = _put_number(p, at, base_sequence, 4)
    at = _put_number(p, at, count, 4)
    _put_records(p, at, size, fields, general)
    start = _exactly(CHECKED_FROM)
    p = start
    at = _put_number(p, 0, 0, 8)  # base offset
    at = _put_number(p, at, size + CHECKED_FROM - LENGTH_FROM, 4)
    at = _put_number(p, at, -1, 4)  # leader epoch
    p[at] = MAGIC
    _put_number(p, at + 1, crc32c(checked), 4)
    return _done(start), _done(checked)


def _size(fields: Sequence[Any], general: list[bytes]) -> int:
    """How many bytes the records take. Those with headers, and tombstones, are rare, and written to `general` at once."""
    end = len(fields)
    stamp: Any = fields[3]
    first_timestamp = timestamp = stamp
    delta, delta_size = 0, 1
    names: dict[str, bytes] | None = None
    size = place = offset = 0
    while place < end:
        key, value, headers, now = fields[place], fields[place + 1], fields[place + 2], fields[place + 3]
        place += 4
        if now is not stamp:  # neighbours mostly share their millisecond, and the object that says so
            stamp = timestamp = now
            delta = timestamp - first_timestamp
            delta_size = _varint_size(delta)
        if headers or value is None:
            if names is None:
                names = {}
            record = b"".join(record_parts(key, value, headers, encode_varint(delta), encode_varint(offset), names))
            general.append(record)
            size += len(record)
        else:
            body = _body_size(key, value, delta_size, offset)
            size += _varint_size(body) + body
        offset += 1
    return size


def _put_records(p: Any, at: int, full: int, fields: Sequence[Any], general: list[bytes]) -> None:
    """Write the records from `at` on, up to where `p` is `full`: not a byte beyond it, whatever `_size` thought they take.

    Raises:
        RuntimeError: the records are not those that `_size` saw.
    """
    end = len(fields)
    stamp: Any = fields[3]
    first_timestamp = timestamp = stamp
    delta, delta_size = 0, 1
    place = offset = taken = 0
    while place < end:
        key, value, headers, now = fields[place], fields[place + 1], fields[place + 2], fields[place + 3]
        place += 4
        if now is not stamp:
            stamp = timestamp = now
            delta = timestamp - first_timestamp
            delta_size = _varint_size(delta)
        if headers or value is None:
            record = general[taken]
            taken += 1
            if at + len(record) > full:
                raise RuntimeError(_CHANGED)
            at = _put_bytes(p, at, record, len(record))
        else:
            body = _body_size(key, value, delta_size, offset)
            if at + _varint_size(body) + body > full:
                raise RuntimeError(_CHANGED)
            at = _put_record(p, at, key, value, body, delta, offset)
        offset += 1
    if at != full:
        raise RuntimeError(_CHANGED)


def _latest(fields: Sequence[Any]) -> int:
    """The largest timestamp."""
    stamp: Any = fields[3]
    latest = stamp
    for place in range(7, len(fields), 4):
        if fields[place] is not stamp:
            stamp = timestamp = fields[place]
            latest = max(timestamp, latest)
    return latest  # type: ignore[no-any-return]


def _body_size(key: bytes | None, value: bytes, delta_size: int, offset: int) -> int:
    """What a record without headers takes beside its length."""
    size = 2 + delta_size + _varint_size(offset)  # attributes, header count
    if key is None:
        size += 1
    else:
        size += _varint_size(len(key)) + len(key)
    return size + _varint_size(len(value)) + len(value)


def _put_record(p: Any, at: int, key: bytes | None, value: bytes, body: int, delta: int, offset: int) -> int:
    """Write a record that has a value and no headers at `at`; return where it ends."""
    at = _put_varint(p, at, body)
    p[at] = 0
    at = _put_varint(p, at + 1, delta)
    at = _put_varint(p, at, offset)
    if key is None:
        at = _put_varint(p, at, -1)
    else:
        size = len(key)
        at = _put_bytes(p, _put_varint(p, at, size), key, size)
    size = len(value)
    at = _put_bytes(p, _put_varint(p, at, size), value, size)
    p[at] = 0
    return at + 1


def _varint_size(value: int) -> int:
    rest = (value << 1) ^ (value >> 63)
    size = 1
    while rest > 0x7F:
        rest >>= 7
        size += 1
    return size


def _put_varint(p: Any, at: int, value: int) -> int:
    rest = (value << 1) ^ (value >> 63)
    while rest > 0x7F:
        p[at] = rest & 0x7F | 0x80
        at += 1
        rest >>= 7
    p[at] = rest
    return at + 1


def _put_number(p: Any, at: int, value: int, size: int) -> int:
    """Write `value` big-endian in `size` bytes."""
    end = at + size
    place = end - 1
    while place >= at:
        p[place] = value & 0xFF
        value >>= 8
        place -= 1
    return end


# What C does its own way; its functions are imported, and the first one written, in the .pxd.


def _exactly(size: int) -> Any:
    """A buffer of that size: bytes, in C, which are not written any more once they are handed on."""
    return new_bytes(size) if _IN_C else bytearray(size)  # type: ignore  # noqa: F821


def _done(buffer: Any) -> bytes:
    return buffer if _IN_C else bytes(buffer)


def _put_bytes(p: Any, at: int, data: bytes, size: int) -> int:
    if _IN_C:
        source = data
        memcpy(p + at, source, size)  # type: ignore  # noqa: F821
    else:
        p[at : at + size] = data
    return at + size
