"""Writing records byte by byte into one buffer: what the compiled core does, because in C that is the quickest way.

`records` calls this when it is compiled. In pure Python the same functions write the same bytes (tests/protocol/test_records.py
compares both ways with a third) but take ten times as long as joining ready pieces, which is what is done there instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from crc32c import crc32c

from klife.protocol.record_layout import CHECKED, CHECKED_FROM, LENGTH_FROM, MAGIC
from klife.protocol.record_parts import encode_varint, record_parts

IS_QUICK: Final = not __file__.endswith(".py")
"""Whether this module is compiled."""

_IN_C = IS_QUICK  # for the compiler, a C variable
_HEADER_SIZE: Final = CHECKED.size


def write_payload(fields: Sequence[Any], room: int) -> tuple[bytearray, int, int]:
    """`records.encode_payload`, for at least one record."""
    end = len(fields)
    first: Any = fields[3]
    first_timestamp = max_timestamp = timestamp = stamp = first
    delta, delta_size = 0, 1
    names: dict[str, bytes] = {}
    buffer = _at_least(room)
    p = buffer
    at = place = offset = 0
    while place < end:
        key, value, headers, now = fields[place], fields[place + 1], fields[place + 2], fields[place + 3]
        place += 4
        if now is not stamp:  # neighbours mostly share their millisecond, and the object that says so
            stamp = timestamp = now
            max_timestamp = max(timestamp, max_timestamp)
            delta = timestamp - first_timestamp
            delta_size = _varint_size(delta)
        if headers or value is None:
            general = b"".join(record_parts(key, value, headers, encode_varint(delta), encode_varint(offset), names))
            body = 0
            need = len(general)
        else:
            general = None
            body = _body_size(key, value, delta_size, offset)
            need = _varint_size(body) + body
        if at + need > room:
            room = 2 * (at + need)
            _resize(buffer, room)
            p = buffer
        at = _put_record(p, at, key, value, body, delta, offset) if general is None else _put_bytes(p, at, general, need)
        offset += 1
    _resize(buffer, at)
    return buffer, first_timestamp, max_timestamp


def write_single(
    fields: Sequence[Any], producer_id: int, producer_epoch: int, base_sequence: int
) -> tuple[bytes | bytearray, bytes | bytearray]:
    """`records.encode_single`."""
    key, value, headers, timestamp = fields[0], fields[1], fields[2], fields[3]
    if headers or value is None:
        general = b"".join(record_parts(key, value, headers, b"\0", b"\0", {}))
        size = body = len(general)
    else:
        general = None
        body = _body_size(key, value, 1, 0)
        size = _varint_size(body) + body
    checked = _exactly(_HEADER_SIZE + size)
    p = checked
    at = _put_number(p, 0, 0, 6)  # attributes and last offset delta
    at = _put_number(p, at, timestamp, 8)
    at = _put_number(p, at, timestamp, 8)
    at = _put_number(p, at, producer_id, 8)
    at = _put_number(p, at, producer_epoch, 2)
    at = _put_number(p, at, base_sequence, 4)
    at = _put_number(p, at, 1, 4)
    if general is not None:
        _put_bytes(p, at, general, size)
    else:
        _put_record(p, at, key, value, body, 0, 0)
    start = _exactly(CHECKED_FROM)
    p = start
    at = _put_number(p, 0, 0, 8)  # base offset
    at = _put_number(p, at, _HEADER_SIZE + size + CHECKED_FROM - LENGTH_FROM, 4)
    at = _put_number(p, at, -1, 4)  # leader epoch
    p[at] = MAGIC
    _put_number(p, at + 1, crc32c(checked), 4)
    return start, checked


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


# What C does its own way; its functions are imported, and the first two written, in the .pxd.


def _exactly(size: int) -> Any:
    """A buffer of that size: bytes, in C, which are not written any more once they are handed on."""
    return new_bytes(size) if _IN_C else bytearray(size)  # type: ignore  # noqa: F821


def _at_least(size: int) -> bytearray:
    """A buffer whose size may change."""
    return new_bytearray(size) if _IN_C else bytearray(size)  # type: ignore  # noqa: F821


def _resize(buffer: bytearray, size: int) -> None:
    if _IN_C:
        PyByteArray_Resize(buffer, size)  # type: ignore  # noqa: F821
    elif size < len(buffer):
        del buffer[size:]
    else:
        buffer.extend(bytes(size - len(buffer)))


def _put_bytes(p: Any, at: int, data: bytes, size: int) -> int:
    if _IN_C:
        source = data
        memcpy(p + at, source, size)  # type: ignore  # noqa: F821
    else:
        p[at : at + size] = data
    return at + size
