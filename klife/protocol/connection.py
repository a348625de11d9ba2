"""A connection to a broker, without the connection: bytes in, events out, and bytes to write.

It knows what a client must know about the stream, and nothing of sockets, clocks or greenlets: the handshake (ApiVersions, with the
step back to v0 for a broker that does not know our version), correlation ids, the strict order in which brokers answer, and which
version of each request this broker takes. Whoever owns a socket calls it:

    buffers = connection.opened()              # write them
    buffers = connection.send(call)            # once READY; `call` is an `InFlight`
    answered = connection.receive(data)        # data as read; the calls whose responses are complete, in their order
    calls = connection.closed()                # those that will never be answered

`TRANSITIONS` is the whole state machine; nothing else changes the state.

Two error classes split the blame: `ConnectionMisused` when our side asks for something the state does not allow, `DecodeError` when
the peer sends something that can not be right. After a DecodeError the connection is of no use and must be closed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import Any

from klife.protocol.api_keys import api_name
from klife.protocol.apis.api_versions import ApiVersionsRequest, ApiVersionsResponse
from klife.protocol.errors import DecodeError, TrailingBytes
from klife.protocol.framing import FrameReader, decode_response_header, encode_request
from klife.protocol.in_flight import InFlight
from klife.protocol.versions import negotiate, ranges_from
from klife.version import __version__

_UNSUPPORTED_VERSION = 35
_API_VERSIONS_FIRST_TRY = 3  # KIP-511: tells the broker our name; every broker since 2.4 knows it


class State(Enum):
    """Where the connection is."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    NEGOTIATING = "negotiating"
    READY = "ready"


class Event(Enum):
    """What may happen to it."""

    CONNECT = "connect"
    OPENED = "opened"
    VERSIONS_AGREED = "versions agreed"
    CLOSED = "closed"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.DISCONNECTED, Event.CONNECT): State.CONNECTING,
    (State.CONNECTING, Event.OPENED): State.NEGOTIATING,
    (State.NEGOTIATING, Event.VERSIONS_AGREED): State.READY,
    (State.DISCONNECTED, Event.CLOSED): State.DISCONNECTED,
    (State.CONNECTING, Event.CLOSED): State.DISCONNECTED,
    (State.NEGOTIATING, Event.CLOSED): State.DISCONNECTED,
    (State.READY, Event.CLOSED): State.DISCONNECTED,
}


_READY = State.READY  # asked for with every request: looking a member up in its class takes a while


class ConnectionMisused(RuntimeError):
    """Our side asked for something that the connection's state does not allow."""


class KafkaConnection:
    """The client's side of one connection to a broker."""

    __slots__ = (
        "state",
        "ranges",
        "throttle_ms",
        "_client_id",
        "_max_response_bytes",
        "_reader",
        "_in_flight",
        "_answered",
        "_own",
        "_next_correlation_id",
        "_agreed",
        "_handshake",
    )

    def __init__(self, client_id: str, max_response_bytes: int) -> None:
        self.state = State.DISCONNECTED
        self.ranges: Mapping[int, tuple[int, int]] = {}
        self.throttle_ms = 0  # how long the broker, in answering the handshake, asked us to wait (KIP-219)
        self._client_id = client_id
        self._max_response_bytes = max_response_bytes
        self._reader = FrameReader(max_response_bytes)
        self._in_flight: deque[InFlight] = deque()
        self._answered: deque[Any] = deque()
        self._own: InFlight | None = None  # what the handshake asked, as long as it has no answer
        self._next_correlation_id = 0
        self._agreed: dict[tuple[Any, int | None], int] = {}
        self._handshake: list[Any] = []

    @property
    def in_flight(self) -> list[Any]:
        """What was sent and is not answered, or not taken from what `receive` returned; oldest first."""
        return [*self._answered, *(sent for sent in self._in_flight if sent is not self._own)]

    def connect(self) -> None:
        """A connection is being opened."""
        self._move(Event.CONNECT)

    def opened(self) -> list[Any]:
        """The transport is open; returns what to write first."""
        self._move(Event.OPENED)
        self._reader = FrameReader(self._max_response_bytes)
        return self._ask_versions(_API_VERSIONS_FIRST_TRY)

    def send(self, call: InFlight, *, client_id: str, max_version: int | None = None, expect_reply: bool = True) -> list[Any]:
        """Returns the buffers of `call.request`, in the highest version both sides know (not above `max_version`).

        With `expect_reply` False (Produce with acks 0) the broker will not answer, and the call is not kept.

        Raises:
            UnsupportedVersion: there is no common version. The connection stays usable.
            EncodeError: the request can not be written. The connection stays usable.
            ConnectionMisused: the connection is not READY.
        """
        if self.state is not _READY:
            raise ConnectionMisused(f"a request was sent on a connection that is {self.state.value}; only READY ones take requests")
        kind = type(call.request)
        agreed = (kind, max_version)
        version = self._agreed.get(agreed, -1)
        if version < 0:
            version = self._agreed[agreed] = negotiate(kind, self.ranges, max_version=max_version)
        return self._encode(call, version, client_id, expect_reply)

    def receive(self, data: Any) -> deque[Any]:
        """Take bytes as they were read; returns the calls whose responses are complete now, in their order.

        They are the caller's to take from what is returned, each once it was told: what is left there, because the caller was
        interrupted, `closed` still returns.

        Raises:
            DecodeError: the peer broke the protocol. Close the connection.
        """
        in_flight, answered = self._in_flight, self._answered
        for frame in self._reader.feed(data):
            if not in_flight:
                raise DecodeError("the broker sent a response that no request is waiting for")
            sent = in_flight[0]
            correlation_id, offset = decode_response_header(frame, type(sent.request), sent.version)
            if correlation_id != sent.correlation_id:
                raise DecodeError(
                    f"the broker answered correlation id {correlation_id} where {sent.correlation_id} was due "
                    f"({api_name(sent.request.API_KEY)}); responses must come in the order of their requests"
                )
            if sent is self._own:
                in_flight.popleft()
                self._own = None
                self._versions_answered(frame, sent, offset)
            else:
                sent.response = _response(frame, sent, offset)
                answered.append(sent)
                in_flight.popleft()  # not before: what can not be decoded is not answered, and `closed` has to tell
        return answered

    def take_handshake(self) -> list[Any]:
        """What the handshake wants written after `receive`; empty most of the time."""
        buffers, self._handshake = self._handshake, []
        return buffers

    def closed(self) -> list[Any]:
        """The transport is gone; returns the calls that will not be answered, oldest first."""
        self._move(Event.CLOSED)
        calls = self.in_flight
        self._in_flight.clear()
        self._answered.clear()
        self._own = None
        self._handshake = []
        return calls

    def _ask_versions(self, version: int) -> list[Any]:
        self._own = InFlight(ApiVersionsRequest(client_software_name="klife", client_software_version=__version__))
        return self._encode(self._own, version, self._client_id, True)

    def _versions_answered(self, frame: Any, sent: InFlight, offset: int) -> None:
        if sent.version > 0 and _says_unsupported(frame, offset):
            # A broker that does not know our version answers in the layout of v0, whatever we asked for (KIP-511). The rest of its
            # answer may be anything; all that counts is to ask again in the version every broker knows.
            self._handshake = self._ask_versions(0)
            return
        response: ApiVersionsResponse = _response(frame, sent, offset)
        if response.error_code:
            raise DecodeError(f"the broker refused ApiVersions v{sent.version} with error code {response.error_code}")
        self.ranges = ranges_from(response)
        self.throttle_ms = response.throttle_time_ms
        self._agreed = {}
        self._move(Event.VERSIONS_AGREED)

    def _encode(self, call: InFlight, version: int, client_id: str, expect_reply: bool) -> list[Any]:
        correlation_id = self._next_correlation_id
        buffers = encode_request(call.request, version, correlation_id, client_id)
        self._next_correlation_id = (correlation_id + 1) & 0x7FFFFFFF
        call.correlation_id = correlation_id
        call.version = version
        if expect_reply:
            self._in_flight.append(call)
        return buffers

    def _move(self, event: Event) -> None:
        state = TRANSITIONS.get((self.state, event))
        if state is None:
            raise ConnectionMisused(f"{event.value!r} can not happen to a connection that is {self.state.value}")
        self.state = state


def _response(frame: Any, sent: InFlight, offset: int) -> Any:
    """The response in `frame`. Bytes after its end are passed over, as Java's client does: librdkafka's mock sends some."""
    try:
        return sent.request.RESPONSE.decode(frame, sent.version, offset)
    except TrailingBytes as longer:
        return longer.message


def _says_unsupported(frame: Any, offset: int) -> bool:
    return len(frame) >= offset + 2 and int.from_bytes(frame[offset : offset + 2], "big") == _UNSUPPORTED_VERSION
