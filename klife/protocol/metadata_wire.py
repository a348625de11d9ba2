"""Metadata whose large answers are decoded when the asker says, because that takes longer than an event loop
may be held.

An answer about ten thousand partitions is half a megabyte and takes tens of milliseconds. Whoever asked gets
`Undecoded`, and calls `decode` where time does not matter, such as in a thread.
"""

from __future__ import annotations

from typing import Any, ClassVar

from klife.protocol.apis.metadata import MetadataRequest, MetadataResponse
from klife.protocol.errors import TrailingBytes
from klife.protocol.primitives import Buffer

LARGE = 16_384
"""Bytes from which an answer is left undecoded; less is decoded in about a millisecond."""


class Undecoded:
    """An answer as it came."""

    __slots__ = ("_data", "_version", "_offset")

    def __init__(self, data: Buffer, version: int, offset: int) -> None:
        self._data = data
        self._version = version
        self._offset = offset

    @property
    def throttle_time_ms(self) -> int:
        """As in `MetadataResponse`: the first field, from version 3 on."""
        return int.from_bytes(self._data[self._offset : self._offset + 4], "big", signed=True) if self._version >= 3 else 0

    def decode(self) -> MetadataResponse:
        """The answer. Bytes after its end are passed over, as for all answers.

        Raises:
            DecodeError: the bytes are truncated or corrupt.
        """
        try:
            return MetadataResponse.decode(self._data, self._version, self._offset)
        except TrailingBytes as longer:
            response: MetadataResponse = longer.message
            return response


class _Answer:
    @staticmethod
    def decode(data: Buffer, version: int, offset: int = 0) -> MetadataResponse | Undecoded:
        if len(data) - offset >= LARGE:
            return Undecoded(data, version, offset)
        return MetadataResponse.decode(data, version, offset)


class MetadataQuery:
    """A `MetadataRequest` with such an answer. Speaks the interface of `klife.protocol.message.Request`."""

    API_KEY: ClassVar[int] = MetadataRequest.API_KEY
    MIN_VERSION: ClassVar[int] = MetadataRequest.MIN_VERSION
    MAX_VERSION: ClassVar[int] = MetadataRequest.MAX_VERSION
    FLEXIBLE_FROM: ClassVar[int] = MetadataRequest.FLEXIBLE_FROM
    RESPONSE: ClassVar[type[Any]] = _Answer

    __slots__ = ("_request",)

    def __init__(self, request: MetadataRequest) -> None:
        self._request = request

    def encode_parts(self, version: int) -> list[Buffer]:
        """As the request's."""
        return self._request.encode_parts(version)
