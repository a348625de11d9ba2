"""What client and broker say to each other before anything else may be said: exchanges, each pure.

An exchange is a few questions, each of which waits for the answer to the one before. It knows messages, and
nothing of frames, states or time: `klife.protocol.connection` starts one, gives it the answers, and starts
the next when it is through. Which there are after the versions says whoever makes the connection, by a `Step`
for each, which knows what its exchange needs (credentials, say) and is told what the broker serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

from klife.protocol.apis.api_versions import ApiVersionsRequest, ApiVersionsResponse
from klife.protocol.error_codes import ErrorCode
from klife.protocol.errors import DecodeError
from klife.protocol.primitives import Buffer
from klife.protocol.versions import ranges_from
from klife.version import __version__

_VERSIONS_FIRST_TRY = 3  # KIP-511: tells the broker our name; every broker since 2.4 knows it


class Question(NamedTuple):
    """A request, and the version it goes in."""

    request: Any
    version: int


class Exchange(Protocol):
    """One step of a handshake."""

    def start(self) -> Question:
        """What to ask first."""

    def answered(self, response: Any) -> Question | None:
        """The answer to the last question; what to ask next, or None if this is through.

        Raises:
            DecodeError: the broker will have none of it. The connection is of no use.
        """


Step = Callable[[Mapping[int, tuple[int, int]]], Exchange]
"""Makes a step's exchange, for a broker that serves these ranges of versions (by API key)."""


class VersionsExchange:
    """Learns which versions of each API the broker serves. One that does not know our version of the question
    is asked again in v0.
    """

    def __init__(self) -> None:
        self.ranges: Mapping[int, tuple[int, int]] = {}
        self.throttle_ms = 0
        self._version = _VERSIONS_FIRST_TRY

    def start(self) -> Question:
        return Question(VersionsQuery(), self._version)

    def answered(self, response: ApiVersionsResponse) -> Question | None:
        if response.error_code == ErrorCode.UNSUPPORTED_VERSION and self._version > 0:
            self._version = 0
            return self.start()
        if response.error_code:
            raise DecodeError(f"the broker refused ApiVersions v{self._version} with error code {response.error_code}")
        self.ranges = ranges_from(response)
        self.throttle_ms = response.throttle_time_ms
        return None


class _VersionsAnswer:
    @staticmethod
    def decode(data: Buffer, version: int, offset: int = 0) -> ApiVersionsResponse:
        """A broker that does not know our version answers in the layout of v0, whatever we asked for
        (KIP-511). The rest of its answer may be anything; all that counts is the code.
        """
        code = int.from_bytes(data[offset : offset + 2], "big")
        if version > 0 and code == ErrorCode.UNSUPPORTED_VERSION:
            return ApiVersionsResponse(error_code=code)
        return ApiVersionsResponse.decode(data, version, offset)


class VersionsQuery:
    """An `ApiVersionsRequest` with such an answer. Speaks the interface of `klife.protocol.message.Request`."""

    API_KEY: ClassVar[int] = ApiVersionsRequest.API_KEY
    MIN_VERSION: ClassVar[int] = ApiVersionsRequest.MIN_VERSION
    MAX_VERSION: ClassVar[int] = ApiVersionsRequest.MAX_VERSION
    FLEXIBLE_FROM: ClassVar[int] = ApiVersionsRequest.FLEXIBLE_FROM
    RESPONSE: ClassVar[type[Any]] = _VersionsAnswer

    @staticmethod
    def encode_parts(version: int) -> list[Buffer]:
        """As the request's; it says who we are."""
        return ApiVersionsRequest(client_software_name="klife", client_software_version=__version__).encode_parts(version)
