"""Writing records byte by byte into one buffer: what the compiled core does, because in C that is the
quickest way.

`records` calls this when it is compiled. In pure Python the same functions write the same bytes
(tests/protocol/test_records.py compares both ways with a third) but take ten times as long as joining ready
pieces, which is what is done there instead.

C does not know where a buffer ends. So one loop, `_records`, measures the records and writes them; and what
it writes, it measures again first, because a value may be another when it is looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from klife import cython_shim as cython
from klife.protocol.checksum import crc32c
from klife.protocol.primitives import INT32_MAX
from klife.protocol.record_layout import CHECKED, CHECKED_FROM, LENGTH_FROM, MAGIC, TRANSACTIONAL
from klife.protocol.record_parts import encode_varint, make_varints, record_parts

if cython.compiled:
    import cython
    from cython.cimports.cpython.bytes import PyBytes_FromStringAndSize
    from cython.cimports.klife.capi import cut, view_of
    from cython.cimports.libc.string import memcpy

_HEADER_SIZE: Final = cython.declare(cython.Py_ssize_t, CHECKED.size)
_TRANSACTIONAL: Final = cython.declare("long long", TRANSACTIONAL)
_CHECKED_FROM: Final = cython.declare(cython.Py_ssize_t, CHECKED_FROM)
_AFTER_LENGTH: Final = cython.declare(cython.Py_ssize_t, CHECKED_FROM - LENGTH_FROM)  # of what the CRC does not cover
_MAGIC: Final = cython.declare(cython.uint, MAGIC)
_LARGEST: Final = cython.declare(cython.Py_ssize_t, INT32_MAX - (CHECKED_FROM - LENGTH_FROM))
_CHANGED = "the records of a batch were changed while they were encoded"


@cython.locals(size=cython.Py_ssize_t, p="unsigned char*", general=list)
def write_payload(fields: Sequence[Any]) -> tuple[bytes, int, int]:
    """`records.encode_payload`, for at least one record."""
    general: list[bytes] = []
    size = _records(cython.NULL, 0, 0, fields, general)
    payload = _exactly(size)
    p = payload
    _put_records(p, 0, size, fields, general)
    return _done(payload), fields[3], _latest(fields)


@cython.locals(
    count=cython.Py_ssize_t,
    size=cython.Py_ssize_t,
    at=cython.Py_ssize_t,
    first_timestamp="long long",
    checksum="long long",
    p="unsigned char*",
    general=list,
)
def write_batch(
    fields: Sequence[Any], producer_id: int, producer_epoch: int, base_sequence: int, is_transactional: bool = False
) -> tuple[bytes, bytes]:
    """`records.encode_plain`, for at least one record: what the CRC does not cover, and what it does, which
    is written only once.
    """
    count, first_timestamp = len(fields) >> 2, fields[3]
    general: list[bytes] = []
    size = _records(cython.NULL, _HEADER_SIZE, 0, fields, general)
    if size > _LARGEST:
        raise OverflowError(f"a batch of {size} bytes is more than the protocol's {_LARGEST}")
    checked = _exactly(size)
    p = checked
    at = _put_checked_header(
        p, 0, count, first_timestamp, _latest(fields), producer_id, producer_epoch, base_sequence, is_transactional
    )
    _put_records(p, at, size, fields, general)
    checksum = _checksum(p, 0, size)
    start = _exactly(_CHECKED_FROM)
    p = start
    _put_start(p, 0, size, checksum)
    return _done(start), _done(checked)


@cython.locals(count=cython.Py_ssize_t, end=cython.Py_ssize_t, first_timestamp="long long")
def put_batch(
    p: Any, at: int, full: int, fields: Sequence[Any], producer_id: int, producer_epoch: int, base_sequence: int, is_transactional: bool
) -> int:
    """Write `records.encode_plain` from `at` on, at most to where `p` is `full`; return where it ends. For at
    least one record.

    Raises:
        RuntimeError: they take more.
    """
    count, first_timestamp = len(fields) >> 2, fields[3]
    if at + _CHECKED_FROM + _HEADER_SIZE > full:
        raise RuntimeError(_CHANGED)
    end = _records(p, at + _CHECKED_FROM + _HEADER_SIZE, full, fields, None)
    if len(fields) >> 2 != count:
        raise RuntimeError(_CHANGED)
    _put_checked_header(
        p, at + _CHECKED_FROM, count, first_timestamp, _latest(fields), producer_id, producer_epoch, base_sequence, is_transactional
    )
    _put_start(p, at, end - at - _CHECKED_FROM, _checksum(p, at + _CHECKED_FROM, end))
    return end


@cython.locals(size=cython.Py_ssize_t, end=cython.Py_ssize_t, p="unsigned char*")
def write_within(
    bound: int, fields: Sequence[Any], producer_id: int, producer_epoch: int, base_sequence: int, is_transactional: bool
) -> bytes:
    """`records.encode_plain` in one piece, for at least one record. None of them is measured first: there is room
    for the `bound` bytes that they take at most.

    Raises:
        RuntimeError: they take more, or may take more than the protocol has room for.
    """
    if not 0 <= bound <= _LARGEST - _HEADER_SIZE:
        raise RuntimeError(f"the records of a batch take at most {_LARGEST - _HEADER_SIZE} bytes, these up to {bound}")
    size = _CHECKED_FROM + _HEADER_SIZE + bound
    buffer = _exactly(size)
    p = buffer
    end = put_batch(p, 0, size, fields, producer_id, producer_epoch, base_sequence, is_transactional)
    written: bytes
    if cython.compiled:
        written = cut(buffer, end)
    else:
        written = bytes(buffer[:end])
    return written


@cython.cfunc
@cython.returns("long long")
@cython.exceptval(-1)
@cython.locals(p="unsigned char*", start=cython.Py_ssize_t, end=cython.Py_ssize_t, checksum="long long")
def _checksum(p: Any, start: int, end: int) -> int:
    """The CRC of what is written from `start` to `end`."""
    if cython.compiled:
        checksum = crc32c(view_of(p + start, end - start))
    else:
        checksum = crc32c(memoryview(p)[start:end])
    return checksum


@cython.cfunc
@cython.returns(cython.Py_ssize_t)
@cython.exceptval(check=False)
@cython.locals(
    p="unsigned char*",
    at=cython.Py_ssize_t,
    count="long long",
    first_timestamp="long long",
    latest="long long",
    producer_id="long long",
    producer_epoch="long long",
    base_sequence="long long",
    is_transactional=cython.bint,
)
def _put_checked_header(
    p: Any,
    at: int,
    count: int,
    first_timestamp: int,
    latest: int,
    producer_id: int,
    producer_epoch: int,
    base_sequence: int,
    is_transactional: bool,
) -> int:
    at = _put_number(p, at, _TRANSACTIONAL if is_transactional else 0, 2)  # attributes
    at = _put_number(p, at, count - 1, 4)
    at = _put_number(p, at, first_timestamp, 8)
    at = _put_number(p, at, latest, 8)
    at = _put_number(p, at, producer_id, 8)
    at = _put_number(p, at, producer_epoch, 2)
    at = _put_number(p, at, base_sequence, 4)
    return _put_number(p, at, count, 4)


@cython.cfunc
@cython.exceptval(check=False)
@cython.returns(cython.Py_ssize_t)
@cython.locals(p="unsigned char*", at=cython.Py_ssize_t, size=cython.Py_ssize_t, checksum="long long")
def _put_start(p: Any, at: int, size: int, checksum: int) -> int:
    """Write what stands before the `size` bytes that the CRC covers."""
    at = _put_number(p, at, 0, 8)  # base offset
    at = _put_number(p, at, size + _AFTER_LENGTH, 4)
    at = _put_number(p, at, -1, 4)  # leader epoch
    p[at] = _MAGIC
    return _put_number(p, at + 1, checksum, 4)


@cython.cfunc
@cython.locals(p="unsigned char*", at=cython.Py_ssize_t, full=cython.Py_ssize_t, fields=list, general=list)
def _put_records(p: Any, at: int, full: int, fields: Sequence[Any], general: list[bytes]) -> None:
    """Write the records from `at` on, to where `p` is `full`.

    Raises:
        RuntimeError: the records are not those that were measured.
    """
    if _records(p, at, full, fields, general) != full:
        raise RuntimeError(_CHANGED)


@cython.cfunc
@cython.returns(cython.Py_ssize_t)
@cython.exceptval(-1, check=False)
@cython.locals(
    p="unsigned char*",
    at=cython.Py_ssize_t,
    full=cython.Py_ssize_t,
    fields=list,
    general=list,
    writes=cython.bint,
    start=cython.Py_ssize_t,
    end=cython.Py_ssize_t,
    place=cython.Py_ssize_t,
    taken=cython.Py_ssize_t,
    body=cython.Py_ssize_t,
    offset="long long",
    first_timestamp="long long",
    timestamp="long long",
    delta="long long",
    delta_size=cython.Py_ssize_t,
    key=bytes,
    value=bytes,
    record=bytes,
    names=dict,
)
def _records(p: Any, at: int, full: int, fields: Sequence[Any], general: list[bytes] | None) -> int:
    """Return where the records end that begin at `at`: only measured without a `p`; with one written, up to
    where it is `full`.

    Those with headers, and tombstones, are rare: they are encoded when they are measured, and wait in
    `general`; without it, when they are written.

    Raises:
        RuntimeError: the records are not those that were measured, or there is no room for them. Not a byte
            was written beyond `full`.
    """
    writes = p is not cython.NULL
    end = len(fields)
    stamp: Any = fields[3]
    first_timestamp = timestamp = stamp
    delta, delta_size = 0, 1
    names: dict[str, bytes] | None = None
    place = offset = taken = 0
    while place < end:
        key, value, headers, now = fields[place], fields[place + 1], fields[place + 2], fields[place + 3]
        place += 4
        if now is not stamp:  # neighbours mostly share their millisecond, and the object that says so
            stamp = timestamp = now
            delta = timestamp - first_timestamp
            delta_size = _varint_size(delta)
        start = at
        if headers or value is None:
            if general is None or not writes:
                if names is None:
                    names = {}
                    make_varints()
                record = b"".join(record_parts(key, value, headers, encode_varint(delta), encode_varint(offset), names))
                if general is not None:
                    general.append(record)
            elif taken == len(general):
                raise RuntimeError(_CHANGED)
            else:
                record = general[taken]
                taken += 1
            at += len(record)
            if writes:
                if at > full:
                    raise RuntimeError(_CHANGED)
                _put_bytes(p, start, record, len(record))
        else:
            body = _body_size(key, value, delta_size, offset)
            at += _varint_size(body) + body
            if writes:
                if at > full:
                    raise RuntimeError(_CHANGED)
                _put_record(p, start, key, value, body, delta, offset)
        offset += 1
    return at


@cython.cfunc
@cython.returns("long long")
@cython.locals(fields=list, place=cython.Py_ssize_t, timestamp="long long", latest="long long")
def _latest(fields: Sequence[Any]) -> int:
    """The largest timestamp."""
    stamp: Any = fields[3]
    latest = stamp
    for place in range(7, len(fields), 4):
        if fields[place] is not stamp:
            stamp = timestamp = fields[place]
            latest = max(timestamp, latest)
    return latest  # type: ignore[no-any-return]


@cython.cfunc
@cython.returns(cython.Py_ssize_t)
@cython.exceptval(check=False)
@cython.locals(key=bytes, value=bytes, delta_size=cython.Py_ssize_t, offset="long long", size=cython.Py_ssize_t)
def _body_size(key: bytes | None, value: bytes, delta_size: int, offset: int) -> int:
    """What a record without headers takes beside its length."""
    size = 2 + delta_size + _varint_size(offset)  # attributes, header count
    if key is None:
        size += 1
    else:
        size += _varint_size(len(key)) + len(key)
    return size + _varint_size(len(value)) + len(value)


@cython.cfunc
@cython.returns(cython.Py_ssize_t)
@cython.exceptval(check=False)
@cython.locals(
    p="unsigned char*",
    at=cython.Py_ssize_t,
    key=bytes,
    value=bytes,
    body=cython.Py_ssize_t,
    delta="long long",
    offset="long long",
    size=cython.Py_ssize_t,
)
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


@cython.cfunc
@cython.returns(cython.Py_ssize_t)
@cython.exceptval(check=False)
@cython.locals(value="long long", rest="unsigned long long", size=cython.Py_ssize_t)
def _varint_size(value: int) -> int:
    rest = (value << 1) ^ (value >> 63)
    size = 1
    while rest > 0x7F:
        rest >>= 7
        size += 1
    return size


@cython.cfunc
@cython.returns(cython.Py_ssize_t)
@cython.exceptval(check=False)
@cython.locals(p="unsigned char*", at=cython.Py_ssize_t, value="long long", rest="unsigned long long")
def _put_varint(p: Any, at: int, value: int) -> int:
    rest = (value << 1) ^ (value >> 63)
    while rest > 0x7F:
        p[at] = rest & 0x7F | 0x80
        at += 1
        rest >>= 7
    p[at] = rest
    return at + 1


@cython.cfunc
@cython.returns(cython.Py_ssize_t)
@cython.exceptval(check=False)
@cython.locals(
    p="unsigned char*", at=cython.Py_ssize_t, value="long long", size=cython.Py_ssize_t, end=cython.Py_ssize_t, place=cython.Py_ssize_t
)
def _put_number(p: Any, at: int, value: int, size: int) -> int:
    """Write `value` big-endian in `size` bytes."""
    end = at + size
    place = end - 1
    while place >= at:
        p[place] = value & 0xFF
        value >>= 8
        place -= 1
    return end


@cython.cfunc
@cython.locals(size=cython.Py_ssize_t)
def _exactly(size: int) -> Any:
    """A buffer of that size: bytes, in C, which are not written any more once they are handed on."""
    buffer: Any
    if cython.compiled:
        buffer = PyBytes_FromStringAndSize(cython.NULL, size)
    else:
        buffer = bytearray(size)
    return buffer


@cython.cfunc
@cython.returns(bytes)
def _done(buffer: Any) -> bytes:
    return buffer if cython.compiled else bytes(buffer)


@cython.cfunc
@cython.returns(cython.Py_ssize_t)
@cython.exceptval(check=False)
@cython.locals(p="unsigned char*", at=cython.Py_ssize_t, data=bytes, size=cython.Py_ssize_t, source="const unsigned char*")
def _put_bytes(p: Any, at: int, data: bytes, size: int) -> int:
    if cython.compiled:
        source = data
        memcpy(p + at, source, size)
    else:
        p[at : at + size] = data
    return at + size
