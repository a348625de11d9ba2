"""`WrittenPartitions`: what a produce request has of one topic, where its batches are small: all of them written
into one buffer, as flexible versions of Produce have it.

A batch by itself is two objects, that are made, joined with others', and freed: as much work as to write a record
of a kilobyte. Greenlets that wait for their records send mostly batches of one.

How much a batch takes at most is known beforehand (`records.size_bound`), so it is measured no second time. In
pure Python nothing of this is quicker than joining pieces, so only the compiled core does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from klife import cython_shim as cython
from klife.protocol import batch_write
from klife.protocol.primitives import SPLIT_BYTES, uvarint_rest
from klife.protocol.record_layout import BATCH_OVERHEAD, CHECKED_FROM

if cython.compiled:
    import cython
    from cython.cimports.cpython.bytes import PyBytes_FromStringAndSize
    from cython.cimports.klife.capi import cut
    from cython.cimports.libc.string import memmove

SMALL: Final = SPLIT_BYTES
"""Bytes that a batch's records take at most: larger batches are sent from where they are, and not joined."""

_INDEX_BYTES = cython.declare(cython.Py_ssize_t, 4)
_SIZE_BYTES = cython.declare(cython.Py_ssize_t, 2)  # of such a batch, unless it is a very small one
_AROUND = cython.declare(cython.Py_ssize_t, BATCH_OVERHEAD + _INDEX_BYTES + _SIZE_BYTES + 1)
_SMALL = cython.declare(cython.Py_ssize_t, SMALL)
# In larger pieces memory comes fresh from the kernel, page by page, and goes back there with each request.
_PIECE_BYTES = cython.declare(cython.Py_ssize_t, 32_768)


class WrittenPartitions:
    """Partitions and their batches, one after another; to whoever goes through them a sequence of (index,
    encoded batch).
    """

    __slots__ = ("pieces", "_count", "_left", "_buffer", "_room", "_at")

    def __init__(self, count: int, bound: int) -> None:
        """There will be `count` batches, whose records take at most `bound` bytes in all."""
        self.pieces: list[bytes] = []
        self._count: int = 0
        self._left: int = bound + count * _AROUND
        self._buffer: Any = None
        self._room: int = 0
        self._at: int = 0

    @cython.locals(p="unsigned char*", at=cython.Py_ssize_t, start=cython.Py_ssize_t, full=cython.Py_ssize_t)
    @cython.locals(size=cython.Py_ssize_t, most=cython.Py_ssize_t)
    def add(
        self,
        index: int,
        fields: Sequence[Any],
        bound: int,
        producer_id: int,
        producer_epoch: int,
        base_sequence: int,
        is_transactional: bool,
    ) -> None:
        """Write partition `index` with a batch of `fields`, at least one record, which take at most `bound`
        bytes.

        Raises:
            RuntimeError: they take more.
        """
        if not 0 <= bound <= _SMALL:
            raise RuntimeError(f"a batch of {bound} bytes is not one of at most {SMALL}")
        most = bound + _AROUND
        if self._buffer is None or self._at + most > self._room:
            self.end()
            self._room = max(most, min(self._left, _PIECE_BYTES))
            if cython.compiled:
                self._buffer = PyBytes_FromStringAndSize(cython.NULL, self._room)
            else:
                self._buffer = bytearray(self._room)
        buffer, at = self._buffer, self._at  # a buffer that nobody frees meanwhile
        p = buffer
        p[at] = index >> 24 & 0xFF
        p[at + 1] = index >> 16 & 0xFF
        p[at + 2] = index >> 8 & 0xFF
        p[at + 3] = index & 0xFF
        start, full = at + _INDEX_BYTES + _SIZE_BYTES, at + most - 1
        at = batch_write.put_batch(p, start, full, fields, producer_id, producer_epoch, base_sequence, is_transactional)
        size = at - start + 1  # compact sizes are written as one more
        if size < 128:
            at = _moved_down(p, start, at)
            p[start - 2] = size
        else:
            p[start - 2] = size & 0x7F | 0x80
            p[start - 1] = size >> 7
        p[at] = 0  # no tags
        self._at = at + 1
        self._left -= most
        self._count += 1

    def end(self) -> None:
        """What was written is complete."""
        buffer, self._buffer = self._buffer, None
        if self._at:
            if cython.compiled:
                self.pieces.append(cut(buffer, self._at))
            else:
                self.pieces.append(bytes(buffer[: self._at]))
        self._at = self._room = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[int, tuple[bytes, bytes]]]:
        for piece in self.pieces:
            pos = 0
            while pos < len(piece):
                index = int.from_bytes(piece[pos : pos + _INDEX_BYTES], "big")
                size, pos = piece[pos + _INDEX_BYTES], pos + _INDEX_BYTES + 1
                if size > 127:
                    size, pos = uvarint_rest(piece, pos, size)
                end = pos + size - 1
                yield index, (piece[pos : pos + CHECKED_FROM], piece[pos + CHECKED_FROM : end])
                pos = end + 1


@cython.cfunc
@cython.returns(cython.Py_ssize_t)
@cython.exceptval(check=False)
@cython.locals(p="unsigned char*", start=cython.Py_ssize_t, end=cython.Py_ssize_t)
def _moved_down(p: Any, start: int, end: int) -> int:
    """Move what stands from `start` to `end` by one byte; return where it ends now."""
    if cython.compiled:
        memmove(p + start - 1, p + start, end - start)
    else:
        p[start - 1 : end - 1] = p[start:end]
    return end - 1
