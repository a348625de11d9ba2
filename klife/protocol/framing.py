"""Frames: every request and response is preceded by its size, four bytes, big-endian.

Reading is the delicate half. A frame arrives in chunks of any size; a large one (a fetch response may have
100 MB) must not be copied again for each of them, and a peer that merely *claims* 100 MB must not make us
take memory. So a frame that lies within one chunk is sliced out of it, and one that does not grows, in
amortised linear time, in a `bytearray` of its own, which is then handed over as it is.
"""

from __future__ import annotations

from typing import Any

from klife import cython_shim as cython
from klife.protocol.api_keys import api_name
from klife.protocol.errors import DecodeError, EncodeError
from klife.protocol.headers import decode_response_header, encode_request_header
from klife.protocol.message import Request
from klife.protocol.primitives import INT32_MAX, SPLIT_BYTES, Buffer
from klife.words import with_article

if cython.compiled:
    import cython

__all__ = ["FrameReader", "decode_response_header", "encode_request"]

_SIZE_BYTES = 4
_JOIN_BYTES = 16_384  # up to here, copying costs less than giving the kernel one part more


@cython.locals(parts=list, size="long long", head=bytes)
def encode_request(request: Request[Any], version: int, correlation_id: int, client_id: str | None) -> list[Buffer]:
    """A request as it goes to the socket: size, header, body. One part if it is small, else parts to be sent
    one after another.

    Large record buffers are not copied: do not change them until they are sent.

    Raises:
        EncodeError, UnsupportedVersion: as `Message.encode_parts`; EncodeError also for a request of 2 GiB
            and more.
    """
    parts = request.encode_parts(version)
    header = encode_request_header(request.API_KEY, version, correlation_id, client_id, version >= request.FLEXIBLE_FROM)
    size = len(header)
    for part in parts:
        size += part.nbytes if isinstance(part, memoryview) else len(part)
    if size > INT32_MAX:
        raise EncodeError(f"{with_article(api_name(request.API_KEY))} request has {size} bytes; a frame has at most {INT32_MAX}")
    head = size.to_bytes(_SIZE_BYTES, "big") + header
    if size <= _JOIN_BYTES:
        return [b"".join((head, *parts))]
    if parts and len(parts[0]) <= SPLIT_BYTES:
        parts[0] = head + parts[0]
        return parts
    return [head, *parts]


class FrameReader:
    """Cuts a stream of bytes into frames."""

    __slots__ = ("_max_frame_bytes", "_whose_limit", "_size", "_partial")

    def __init__(self, max_frame_bytes: int, whose_limit: str = "max_response_bytes") -> None:
        self.allow(max_frame_bytes, whose_limit)
        self._size = -1
        """Size of the frame in `_partial`; -1 while its size prefix is incomplete."""
        self._partial = bytearray()

    def allow(self, max_frame_bytes: int, whose_limit: str) -> None:
        """From the next frame on, this is a frame's limit; `whose_limit` says in errors where it comes from."""
        self._max_frame_bytes = max_frame_bytes
        self._whose_limit = whose_limit

    @property
    def pending_bytes(self) -> int:
        """Bytes received of a frame that is not complete; 0 between frames."""
        return len(self._partial) + (_SIZE_BYTES if self._size >= 0 else 0)

    @cython.locals(frames=list, size="long long", pos=cython.Py_ssize_t, end=cython.Py_ssize_t, wanted=cython.Py_ssize_t)
    def feed(self, data: Buffer) -> list[bytes | bytearray]:
        """Take the next bytes of the stream, which are not kept; return the frames they complete, without
        size prefix.

        Raises:
            DecodeError: a size is negative or larger than `max_frame_bytes`. The stream cannot be followed
                any further.
        """
        if self._size < 0 and not self._partial and type(data) is bytes and len(data) > _SIZE_BYTES:
            # Mostly a chunk is exactly one frame: the answer to the one request that was open.
            size = int.from_bytes(data[:_SIZE_BYTES], "big", signed=True)
            if size == len(data) - _SIZE_BYTES and size <= self._max_frame_bytes:
                return [data[_SIZE_BYTES:]]
        frames: list[bytes | bytearray] = []
        view = memoryview(data)
        pos, end = 0, len(view)
        while pos < end:
            wanted = (self._size if self._size >= 0 else _SIZE_BYTES) - len(self._partial)
            if self._size >= 0 and not self._partial and end - pos >= wanted:
                frames.append(bytes(view[pos : pos + wanted]))
                self._size = -1
            else:
                self._partial += view[pos : pos + wanted]
                if end - pos >= wanted:
                    self._complete(frames)
            pos += wanted
            if self._size == 0:
                frames.append(b"")
                self._size = -1
        return frames

    def _complete(self, frames: list[bytes | bytearray]) -> None:
        """`_partial` holds all it was waiting for: a size prefix or a frame."""
        if self._size >= 0:
            frames.append(self._partial)
            self._size = -1
        else:
            self._size = self._checked(int.from_bytes(self._partial, "big", signed=True))
        self._partial = bytearray()

    def _checked(self, size: int) -> int:
        if 0 <= size <= self._max_frame_bytes:
            return size
        raise DecodeError(
            f"a frame claims {size} bytes, the limit is {self._max_frame_bytes} ({self._whose_limit}). If the limit is generous, "
            "this is probably no Kafka listener, or one that speaks TLS while the client does not."
        )
