"""Writing a batch byte by byte into one buffer, in the compiled core: `record_write` writes the records, this the
header before them, with the CRC of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from klife import cython_shim as cython
from klife.protocol import record_write
from klife.protocol.checksum import crc32c
from klife.protocol.record_layout import BATCH_OVERHEAD, CHECKED_FROM, LENGTH_FROM, MAGIC, TRANSACTIONAL

if cython.compiled:
    import cython
    from cython.cimports.klife.capi import view_of

_OVERHEAD: Final = cython.declare(cython.Py_ssize_t, BATCH_OVERHEAD)
_TRANSACTIONAL: Final = cython.declare("long long", TRANSACTIONAL)
_CHECKED_FROM: Final = cython.declare(cython.Py_ssize_t, CHECKED_FROM)
_LENGTH_FROM: Final = cython.declare(cython.Py_ssize_t, LENGTH_FROM)
_MAGIC: Final = cython.declare(cython.uint, MAGIC)


@cython.locals(end=cython.Py_ssize_t, p="unsigned char*")
def write_batch(
    fields: Sequence[Any], bound: int, producer_id: int, producer_epoch: int, base_sequence: int, is_transactional: bool
) -> bytes:
    """`records.encode_plain`, for at least one record.

    Raises:
        RuntimeError: they take more than `bound`, or may take more than the protocol has room for.
    """
    buffer = p = record_write.buffer_for(_OVERHEAD, bound)
    end = put_batch(p, 0, _OVERHEAD + bound, fields, producer_id, producer_epoch, base_sequence, is_transactional)
    return record_write.written(buffer, end)


@cython.locals(end=cython.Py_ssize_t)
def put_batch(
    p: Any, at: int, full: int, fields: Sequence[Any], producer_id: int, producer_epoch: int, base_sequence: int, is_transactional: bool
) -> int:
    """Write a batch of at least one record from `at` on, at most to where `p` is `full`; return where it ends.

    Raises:
        RuntimeError: it takes more.
    """
    if at + _OVERHEAD > full:
        raise RuntimeError("there is no room for a batch's header")
    end = record_write.put_records(p, at + _OVERHEAD, full, fields)
    _put_checked_header(
        p,
        at + _CHECKED_FROM,
        len(fields) >> 2,
        fields[3],
        record_write.latest(fields),
        producer_id,
        producer_epoch,
        base_sequence,
        is_transactional,
    )
    _put_start(p, at, end - at, _checksum(p, at + _CHECKED_FROM, end))
    return end


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
    """Write what the CRC does not cover of a batch of `size` bytes."""
    at = _put_number(p, at, 0, 8)  # base offset
    at = _put_number(p, at, size - _LENGTH_FROM, 4)
    at = _put_number(p, at, -1, 4)  # leader epoch
    p[at] = _MAGIC
    return _put_number(p, at + 1, checksum, 4)


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
