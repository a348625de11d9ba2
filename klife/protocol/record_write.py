"""Writing records byte by byte into one buffer: what the compiled core does, because in C that is the quickest
way. In pure Python the same functions write the same bytes, but take ten times as long as joining ready pieces
(`record_parts`), which is what is done there instead.

Nobody measures a batch beforehand. What its records take at most was counted as they joined it
(`records.size_bound`), and that is the size of the buffer. But C does not know where a buffer ends, and `fields` is a
list that Python code can change: so each record is measured when its turn comes, held against the buffer's end, and
written from the same variables, with nothing in between that could run such code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from klife import cython_shim as cython
from klife.protocol.primitives import INT32_MAX
from klife.protocol.record_layout import BATCH_OVERHEAD
from klife.protocol.record_parts import encode_varint, make_varints, record_parts

if cython.compiled:
    import cython
    from cython.cimports.cpython.bytes import PyBytes_FromStringAndSize
    from cython.cimports.klife.capi import cut
    from cython.cimports.libc.string import memcpy

_LARGEST: Final = cython.declare(cython.Py_ssize_t, INT32_MAX - BATCH_OVERHEAD)
_CHANGED = "the records of a batch were changed while they were encoded"


@cython.locals(end=cython.Py_ssize_t, p="unsigned char*")
def write_payload(fields: Sequence[Any], bound: int) -> tuple[bytes, int, int]:
    """`records.encode_payload`, for at least one record.

    Raises:
        RuntimeError: they take more than `bound`, or may take more than the protocol has room for.
    """
    buffer = p = buffer_for(0, bound)
    end = put_records(p, 0, bound, fields)
    return written(buffer, end), fields[3], latest(fields)


@cython.locals(size=cython.Py_ssize_t)
def buffer_for(before: int, bound: int) -> Any:
    """A buffer for records that take at most `bound` bytes, and for so many before them. In C it is the bytes
    that are handed on, and not written any more then.

    Raises:
        RuntimeError: they may take more than the protocol has room for.
    """
    if not 0 <= bound <= _LARGEST:
        raise RuntimeError(f"the records of a batch take at most {_LARGEST} bytes, these up to {bound}")
    size = before + bound
    buffer: Any
    if cython.compiled:
        buffer = PyBytes_FromStringAndSize(cython.NULL, size)
    else:
        buffer = bytearray(size)
    return buffer


def written(buffer: Any, end: int) -> bytes:
    """What was written into a buffer, up to `end`."""
    whole: bytes
    if cython.compiled:
        whole = cut(buffer, end)
    else:
        whole = bytes(buffer[:end])
    return whole


@cython.locals(
    start=cython.Py_ssize_t,
    end=cython.Py_ssize_t,
    place=cython.Py_ssize_t,
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
def put_records(p: Any, at: int, full: int, fields: Sequence[Any]) -> int:
    """Write the records from `at` on, at most to where `p` is `full`; return where they end. Those with headers,
    and tombstones, are rare: they are encoded in the general way, and copied.

    Raises:
        RuntimeError: they take more, or others came to them meanwhile.
    """
    end = len(fields)
    stamp: Any = fields[3]
    first_timestamp = timestamp = stamp
    delta, delta_size = 0, 1
    names: dict[str, bytes] | None = None
    place = offset = 0
    while place < end:
        key, value, headers, now = fields[place], fields[place + 1], fields[place + 2], fields[place + 3]
        place += 4
        if now is not stamp:  # neighbours mostly share their millisecond, and the object that says so
            stamp = timestamp = now
            delta = timestamp - first_timestamp
            delta_size = _varint_size(delta)
        start = at
        if headers or value is None:
            if names is None:
                names = {}
                make_varints()
            record = b"".join(record_parts(key, value, headers, encode_varint(delta), encode_varint(offset), names))
            at += len(record)
            if at > full:
                raise RuntimeError(_CHANGED)
            _put_bytes(p, start, record, len(record))
        else:
            body = _body_size(key, value, delta_size, offset)
            at += _varint_size(body) + body
            if at > full:
                raise RuntimeError(_CHANGED)
            _put_record(p, start, key, value, body, delta, offset)
        offset += 1
    if len(fields) != end:
        raise RuntimeError(_CHANGED)
    return at


@cython.locals(place=cython.Py_ssize_t, timestamp="long long", largest="long long")
def latest(fields: Sequence[Any]) -> int:
    """The largest timestamp."""
    stamp: Any = fields[3]
    largest = stamp
    for place in range(7, len(fields), 4):
        if fields[place] is not stamp:
            stamp = timestamp = fields[place]
            largest = max(timestamp, largest)
    return largest  # type: ignore[no-any-return]


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
@cython.locals(p="unsigned char*", at=cython.Py_ssize_t, data=bytes, size=cython.Py_ssize_t, source="const unsigned char*")
def _put_bytes(p: Any, at: int, data: bytes, size: int) -> int:
    if cython.compiled:
        source = data
        memcpy(p + at, source, size)
    else:
        p[at : at + size] = data
    return at + size
