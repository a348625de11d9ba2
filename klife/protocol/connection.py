"""A connection to a broker, without the connection: bytes in, events out, and bytes to write.

It knows what a client must know about the stream, and nothing of sockets, clocks or greenlets: the handshake,
correlation ids, the strict order in which brokers answer, and which version of each request this broker
takes. Whoever owns a socket calls it:

    buffers = connection.opened()              # write them
    buffers = connection.send(call)            # once READY; `call` is an `InFlight`
    answered = connection.receive(data)        # data as read; the calls whose answers are complete, in order
    buffers = connection.take_handshake()      # after `receive`, while not READY
    buffers = connection.done(result)          # what `connection.wish` asked for, if it is not None
    calls = connection.closed()                # those that will never be answered

`TRANSITIONS` is the whole state machine; nothing else changes the state. While NEGOTIATING, client and broker
settle the versions, while AUTHENTICATING what else has to be settled before anything is said: one exchange
(`klife.protocol.handshake`) for each of the connection's `steps`, in their order. `renew` has those steps
taken again on a connection that works, which is REAUTHENTICATING so long: it takes no requests, and answers
to what was sent before still come in their order.

Three error classes split the blame: `ConnectionMisused` when our side asks for something the state does not
allow, `DecodeError` when the peer sends something that can not be right, `AuthenticationFailed` when one does
not accept the other. After the last two the connection is of no use and must be closed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

from klife import cython_shim as cython
from klife.protocol.api_keys import api_name
from klife.protocol.errors import DecodeError, TrailingBytes
from klife.protocol.framing import FrameReader, encode_request
from klife.protocol.handshake import Compute, Exchange, Question, Step, TokenWanted, VersionsExchange, Wish
from klife.protocol.headers import decode_response_header
from klife.protocol.in_flight import InFlight
from klife.protocol.primitives import INT32_MAX
from klife.protocol.versions import Features, negotiate

if cython.compiled:
    import cython

_MAX_HANDSHAKE_BYTES = 1 << 16  # a frame's, until we know that a broker is at the other end: reading more takes the hub too long


class State(Enum):
    """Where the connection is."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    NEGOTIATING = "negotiating"
    AUTHENTICATING = "authenticating"
    READY = "ready"
    REAUTHENTICATING = "reauthenticating"


class Event(Enum):
    """What may happen to it."""

    CONNECT = "connect"
    OPENED = "opened"
    AUTHENTICATE = "authenticate"
    SETTLED = "settled"
    RENEW = "renew"
    CLOSED = "closed"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.DISCONNECTED, Event.CONNECT): State.CONNECTING,
    (State.CONNECTING, Event.OPENED): State.NEGOTIATING,
    (State.NEGOTIATING, Event.SETTLED): State.READY,
    (State.NEGOTIATING, Event.AUTHENTICATE): State.AUTHENTICATING,
    (State.AUTHENTICATING, Event.SETTLED): State.READY,
    (State.READY, Event.RENEW): State.REAUTHENTICATING,
    (State.REAUTHENTICATING, Event.SETTLED): State.READY,
    (State.DISCONNECTED, Event.CLOSED): State.DISCONNECTED,
    (State.CONNECTING, Event.CLOSED): State.DISCONNECTED,
    (State.NEGOTIATING, Event.CLOSED): State.DISCONNECTED,
    (State.AUTHENTICATING, Event.CLOSED): State.DISCONNECTED,
    (State.READY, Event.CLOSED): State.DISCONNECTED,
    (State.REAUTHENTICATING, Event.CLOSED): State.DISCONNECTED,
}


_READY = State.READY  # asked for with every request: looking a member up in its class takes a while


class ConnectionMisused(RuntimeError):
    """Our side asked for something that the connection's state does not allow."""


class KafkaConnection:
    """The client's side of one connection to a broker. `steps` are what its handshake needs beyond the
    versions.
    """

    __slots__ = (
        "state",
        "ranges",
        "features",
        "throttle_ms",
        "wish",
        "session_lifetime_ms",
        "_client_id",
        "_max_response_bytes",
        "_reader",
        "_in_flight",
        "_answered",
        "_steps",
        "_left",
        "_own",
        "_exchange",
        "_next_correlation_id",
        "_agreed",
        "_handshake",
    )

    def __init__(self, client_id: str, max_response_bytes: int, steps: Sequence[Step] = ()) -> None:
        self.state: State = State.DISCONNECTED
        self.ranges: Mapping[int, tuple[int, int]] = {}
        self.features: Features = Features()  # as the broker told last
        self.throttle_ms: int = 0  # how long the broker, in answering the handshake, asked us to wait (KIP-219)
        self.wish: Compute | TokenWanted | None = None  # what the handshake waits for besides the broker; `done` brings it
        self.session_lifetime_ms: int = 0  # how long the last authentication holds (KIP-368); 0: no limit
        self._client_id = client_id
        self._max_response_bytes = max_response_bytes
        self._reader = FrameReader(max_response_bytes)
        self._in_flight: deque[InFlight] = deque()
        self._answered: deque[Any] = deque()
        self._steps = steps
        self._left: Iterator[Step] = iter(())  # those still to be taken
        self._exchange: Exchange | None = None  # the step that is taken now
        self._own: InFlight | None = None  # what that asked, as long as it has no answer
        self._next_correlation_id = 0
        self._agreed: dict[tuple[Any, int, int | None], int] = {}
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
        self.session_lifetime_ms = 0
        self._left = iter(self._steps)
        self._exchange = VersionsExchange()
        return self._follow(self._exchange.start())

    def renew(self) -> list[Any]:
        """Take the steps after the versions again: a session ends. Returns what to write; no requests are
        taken until it is through.

        Raises:
            ConnectionMisused: the connection is not READY.
        """
        self._move(Event.RENEW)
        self._left = iter(self._steps)
        return self._take_step()

    def send(
        self, call: InFlight, *, client_id: str, min_version: int = 0, max_version: int | None = None, expect_reply: bool = True
    ) -> list[Any]:
        """Returns the buffers of `call.request`, in the highest version both sides know (not below
        `min_version`, nor above `max_version`).

        With `expect_reply` False (Produce with acks 0) the broker will not answer, and the call is not kept.

        Raises:
            UnsupportedVersion: there is no common version. The connection stays usable.
            EncodeError: the request can not be written. The connection stays usable.
            ConnectionMisused: the connection is not READY.
        """
        if self.state is not _READY:
            raise ConnectionMisused(f"a request was sent on a connection that is {self.state.value}; only READY ones take requests")
        kind = type(call.request)
        agreed = (kind, min_version, max_version)
        version = self._agreed.get(agreed, -1)
        if version < 0:
            version = self._agreed[agreed] = negotiate(kind, self.ranges, min_version=min_version, max_version=max_version)
        return self._encode(call, version, client_id, expect_reply)

    @cython.locals(sent="InFlight")
    def receive(self, data: Any) -> deque[Any]:
        """Take bytes as they were read; returns the calls whose responses are complete now, in their order.

        They are the caller's to take from what is returned, each once it was told: what is left there,
        because the caller was interrupted, `closed` still returns. So it does with those whose answers came
        right before something that raised; they have their `response`.

        Raises:
            DecodeError: the peer broke the protocol. Close the connection.
            AuthenticationFailed: it does not accept us, or we not it. Close the connection.
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
            sent.response = _response(frame, sent, offset)
            if sent is not self._own:
                answered.append(sent)
            in_flight.popleft()  # not before: what can not be decoded is not answered, and `closed` has to tell
            if self._own is not None:
                self._handshake_moves(sent, len(frame))
        return answered

    def done(self, result: Any) -> list[Any]:
        """What came of the `wish`: the result of a `Compute`, or a `Token`. Returns what to write; look at
        `state` and `wish` after it, as after `receive`.

        Raises:
            AuthenticationFailed: as `receive`.
            ConnectionMisused: nothing is wished for; maybe the connection was closed meanwhile.
        """
        if self.wish is None or self._exchange is None:
            raise ConnectionMisused(f"something was done for a connection that is {self.state.value} and has no wish")
        self.wish = None
        return self._go_on(self._exchange.done(result))

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
        self._exchange = self._own = self.wish = None
        self._handshake = []
        return calls

    @cython.locals(sent="InFlight")
    def _handshake_moves(self, sent: InFlight, size: int) -> None:
        """The handshake waits for an answer, and the next one, a frame of `size` bytes, was `sent`'s."""
        if sent is self._own:
            if size > _MAX_HANDSHAKE_BYTES:  # it came in one piece with answers that may have as many
                raise DecodeError(f"an answer of the handshake has {size} bytes, the limit is {_MAX_HANDSHAKE_BYTES}")
            self._own = None
            assert self._exchange is not None
            self._handshake = self._go_on(self._exchange.answered(sent.response))
        else:
            self._limit_frames()

    def _go_on(self, wish: Wish | None) -> list[Any]:
        """The exchange got what it wanted, and wants this now, or is through; return what to write."""
        exchange = self._exchange
        if wish is not None:
            return self._follow(wish)
        if isinstance(exchange, VersionsExchange):
            self.ranges = exchange.ranges
            self.features = exchange.features
            self.throttle_ms = exchange.throttle_ms
            self._agreed = {}
        else:
            assert exchange is not None
            self.session_lifetime_ms = exchange.session_lifetime_ms
        return self._take_step()

    def _take_step(self) -> list[Any]:
        """Begin the next step, if there is one; return what it wants written."""
        step = next(self._left, None)
        if step is not None:
            if self.state is State.NEGOTIATING:
                self._move(Event.AUTHENTICATE)
            self._exchange = step(self.ranges, self.state is State.REAUTHENTICATING)
            return self._follow(self._exchange.start())
        self._exchange = None
        self._move(Event.SETTLED)
        self._reader.allow(self._max_response_bytes, "max_response_bytes")
        return []

    def _follow(self, wish: Wish) -> list[Any]:
        if not isinstance(wish, Question):
            self.wish = wish
            return []
        self._own = InFlight(wish.request)
        buffers = self._encode(self._own, wish.version, self._client_id, True)
        self._limit_frames()
        return buffers

    def _limit_frames(self) -> None:
        """Let the next frame be small, if it is the handshake's: all before it are answered."""
        if self._in_flight and self._in_flight[0] is self._own:
            self._reader.allow(min(self._max_response_bytes, _MAX_HANDSHAKE_BYTES), "until the handshake is through")

    def _encode(self, call: InFlight, version: int, client_id: str, expect_reply: bool) -> list[Any]:
        correlation_id = self._next_correlation_id
        buffers = encode_request(call.request, version, correlation_id, client_id)
        self._next_correlation_id = (correlation_id + 1) & INT32_MAX
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


@cython.cfunc
@cython.locals(sent="InFlight")
def _response(frame: Any, sent: InFlight, offset: int) -> Any:
    """The response in `frame`. Bytes after its end are passed over, as Java's client does: librdkafka's mock
    sends some.
    """
    try:
        return sent.request.RESPONSE.decode(frame, sent.version, offset)
    except TrailingBytes as longer:
        return longer.message
