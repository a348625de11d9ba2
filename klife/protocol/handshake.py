"""What client and broker say to each other before anything else may be said: exchanges, each pure.

An exchange is a few wishes, each of which waits for the answer to the one before. Most are questions to the
broker; what takes a while, or comes from elsewhere, is one as well, because nothing here may wait. An
exchange knows messages, and nothing of frames, states or time: `klife.protocol.connection` starts one, gives
it the answers, and starts the next when it is through. Which there are after the versions says whoever makes
the connection, by a `Step` for each, which knows what its exchange needs (credentials, say) and is told what
the broker serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

from klife.protocol.apis.api_versions import ApiVersionsRequest, ApiVersionsResponse
from klife.protocol.error_codes import ErrorCode
from klife.protocol.errors import DecodeError
from klife.protocol.primitives import Buffer
from klife.protocol.versions import Features, features_from, ranges_from
from klife.version import __version__

_VERSIONS_FIRST_TRY = 3  # KIP-511: tells the broker our name; every broker since 2.4 knows it


class Question(NamedTuple):
    """A request, and the version it goes in."""

    request: Any
    version: int


@dataclass(frozen=True, slots=True)
class Compute:
    """The result of `run()`, which may take a while, in a thread. `what` says in errors what it is."""

    run: Callable[[], Any] = field(repr=False)  # it knows secrets
    what: str


@dataclass(frozen=True, slots=True)
class TokenWanted:
    """The client's token of now, a `klife.protocol.sasl.token.Token`."""


Wish = Question | Compute | TokenWanted
"""What an exchange waits for: an answer of the broker's, or something that the connection's owner does."""


class Exchange(Protocol):
    """One step of a handshake."""

    session_lifetime_ms: int
    """Once it is through: how long what was settled holds; 0 means without limit."""

    def start(self) -> Wish:
        """What it wants first."""

    def answered(self, response: Any) -> Wish | None:
        """The answer to the last question; what it wants next, or None if it is through.

        Raises:
            DecodeError: the broker broke the protocol. The connection is of no use.
            AuthenticationFailed: the broker, or we, will have none of it. The connection is of no use.
        """

    def done(self, result: Any) -> Wish | None:
        """What came of the last `Compute` or `TokenWanted`; else as `answered`."""


Step = Callable[[Mapping[int, tuple[int, int]], bool], Exchange]
"""Makes a step's exchange, for a broker that serves these ranges of versions (by API key); the flag says whether
the step is taken again, on a connection that worked.
"""


class VersionsExchange:
    """Learns which versions of each API the broker serves, and the cluster's features. One that does not know
    our version of the question is asked again in v0.
    """

    session_lifetime_ms = 0

    def __init__(self) -> None:
        self.ranges: Mapping[int, tuple[int, int]] = {}
        self.features: Features = Features()
        self.throttle_ms: int = 0
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
        self.features = features_from(response)
        self.throttle_ms = response.throttle_time_ms
        return None

    def done(self, result: Any) -> Question | None:
        raise TypeError("nothing but the broker is asked for versions")


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
