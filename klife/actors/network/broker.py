"""`Broker`: how the rest of the client talks to one broker.

A value that outlives the `ConnectionActor` working for it. Whoever has a request calls `send` or `call`: it
is encoded and, when the transport takes it, written at once in the caller's greenlet, without a message or a
switch. What the transport does not take, and all that comes back, is the actor's. A broker without a
connection takes no requests; `when_ready` says "wake me when it has one", and is at the same time what makes
the actor connect. Records thus wait in their queues, where they can still be re-routed or expire as certainly
not written, and never in a connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from klife.actors.network.call import Call, CallFailed
from klife.actors.network.purpose import BrokerKey, Purpose
from klife.actors.network.security import Security
from klife.actors.network.transport import NoTransport, Transport
from klife.actors.runtime.forked import is_forked, take_note
from klife.actors.runtime.inbox import Inbox
from klife.actors.settings import NEVER, ConnectionSettings
from klife.host_name import address_of
from klife.protocol.connection import KafkaConnection, State
from klife.protocol.errors import EncodeError, UnsupportedVersion
from klife.protocol.handshake import Exchange

_CONNECTED = (State.READY, State.REAUTHENTICATING)
_READY = State.READY  # asked for with every request, and looking a member up in its class takes a while


class Broker:
    """One broker, for one purpose: its address, its connection while there is one, and who waits for it."""

    def __init__(
        self,
        node_id: int,
        host: str | None,
        port: int,
        settings: ConnectionSettings,
        client_id: str,
        purpose: Purpose = Purpose.REQUESTS,
        security: Security | None = None,
    ) -> None:
        self.node_id = node_id
        self.purpose = purpose
        self.host = host
        self.port: int = port
        self.settings = settings
        self.security: Security = security or Security(settings)
        steps = (self._authenticating,) if settings.sasl is not None else ()
        self.connection: KafkaConnection = KafkaConnection(client_id, settings.max_response_bytes, steps)
        self.inbox: Inbox | None = None  # the actor's, while it lives
        self.has_actor = False  # whether its supervisor was told to run one
        self.transport: Any = None  # a `Transport`, while one is open
        self.waiting: dict[Callable[[], None], None] = {}
        self.failure: str | None = None  # set by whoever meets a broken socket; the actor closes it
        self.released: bool = False  # nobody needs the connection any more
        self.throttled_until: float = 0.0  # when it takes requests again, on whatever connection; the actor sets it back to 0 then
        self.last_error: str | None = None
        self.awaited: Callable[[], str | None] | None = None  # says what who makes a connection has waited for, if that is long
        self.wake_at = NEVER  # when the actor wakes by itself
        self.due: float = NEVER  # an earlier time it has to be told of
        self.used_at: float = 0.0  # when a request was last sent or answered
        self.answered_at: float | None = None  # when it answered last, a handshake included
        self.failing_since: float | None = None  # its first failure since then; None if there was none
        self.skips_backoff: bool = False  # there is a reason to think that it is back
        self.tried_early: bool = False  # whether, since that failure, another's connection was such a reason
        self.requests_sent: int = 0
        self.connects = 0
        self._unwritten: deque[Call] = deque()  # calls without a reply whose bytes the transport has not all taken

    @property
    def key(self) -> BrokerKey:
        return self.node_id, self.purpose

    @property
    def told_id(self) -> int | None:
        """The id as users are told it: an address of `bootstrap_servers` has none."""
        return self.node_id if self.node_id >= 0 else None

    @property
    def called(self) -> str:
        """What errors call it, without its address."""
        return "bootstrap" if self.node_id < 0 else f"broker {self.node_id}"

    @property
    def is_ready(self) -> bool:
        return self.connection.state is _READY and self.failure is None and not self.throttled_until

    @property
    def is_connected(self) -> bool:
        """Whether it has taken us, and nothing has gone wrong since."""
        return self.connection.state in _CONNECTED and self.failure is None

    @property
    def answers_anything(self) -> bool:
        """Whether it may be asked any ordinary question: then it is tried, too, when no other answers."""
        return self.purpose is Purpose.REQUESTS

    @property
    def calls(self) -> list[Call]:
        """Those without an outcome."""
        return [*self._unwritten, *self.connection.in_flight]

    def owes(self) -> int:
        """How many of those there are, of one that is ready."""
        return self.connection.owes() + len(self._unwritten)

    @property
    def address(self) -> str:
        return address_of(self.host, self.port) if self.host is not None else "address unknown"

    def describe(self) -> str:
        """State and last error, for errors and status."""
        state = f"{self.address} {self.connection.state.value}" + (", throttled by a quota" if self.throttled_until else "")
        if self.is_ready:
            return state
        awaited = self.awaited() if self.awaited is not None else None
        return "; ".join([state, *([awaited] if awaited else []), *([f"last error: {self.last_error}"] if self.last_error else [])])

    @property
    def trouble(self) -> str | None:
        """What it waits for just now, if that takes long, else what befell it last."""
        return (self.awaited() if self.awaited is not None else None) or self.last_error

    def _authenticating(self, ranges: Mapping[int, tuple[int, int]], again: bool) -> Exchange:
        """The connection's step by that name, at wherever the broker is now."""
        from klife.protocol.sasl.authenticate import authenticating  # by whoever uses it

        return authenticating(self.security.mechanism, self.host or "")(ranges, again)

    def when_ready(self, wake: Callable[[], None]) -> None:
        """Connect, and call `wake` once when requests are taken."""
        self.released = False
        if self.is_ready:
            wake()
            return
        fresh = not self.waiting
        self.waiting[wake] = None
        if fresh and self.inbox is not None:
            self.inbox.wake()

    def set_address(self, host: str, port: int) -> None:
        """The broker is (now) here. A connection to somewhere else is closed."""
        if (host, port) == (self.host, self.port):
            return
        moved = self.host is not None
        self.host, self.port = host, port
        if moved and self.connection.state is not State.DISCONNECTED:
            self.fail(f"the broker moved to {self.address}")
        elif self.inbox is not None:
            self.inbox.wake()

    def fail(self, reason: str) -> None:
        """The connection is of no use any more; the actor will close it."""
        if self.failure is None:
            self.failure = reason
        if self.inbox is not None:
            self.inbox.wake()

    def try_now(self) -> None:
        """It may be back: if it could not be reached, whoever waits for a connection waits out no backoff."""
        if self.failing_since is not None:
            self.skips_backoff = True
            if self.inbox is not None:
                self.inbox.wake()

    def another_connected(self) -> None:
        """`try_now`, the first time since it failed: an address that works says no more when it is opened
        often.
        """
        if not self.tried_early and self.failing_since is not None:
            self.tried_early = True
            self.try_now()

    def release(self) -> None:
        """Close the connection without that being a failure; it is opened again when somebody wants it."""
        self.released = True
        if self.inbox is not None:
            self.inbox.wake()

    def call(
        self,
        request: Any,
        on_done: Callable[[Call], None],
        *,
        timeout: float,
        client_id: str,
        min_version: int = 0,
        max_version: int | None = None,
    ) -> Call:
        """`send` a request; `on_done(call)` is called exactly once. Returns the call."""
        call = Call(request, on_done)
        self.send(call, timeout=timeout, client_id=client_id, min_version=min_version, max_version=max_version)
        return call

    def send(
        self,
        call: Call,
        *,
        timeout: float,
        client_id: str,
        min_version: int = 0,
        max_version: int | None = None,
        expect_reply: bool = True,
    ) -> None:
        """Send `call`, which is finished exactly once, within `timeout` seconds (and as long as the broker
        throttles us): at once when it can not be sent.

        With `expect_reply` False the call is done, with response None, when the socket has taken all of it.
        Whatever is raised here, a signal handler's exception mostly, ends the connection.
        """
        if is_forked():
            take_note()
        now = monotonic()
        call.sent_at = now
        call.deadline = now + timeout
        if not self.is_ready:
            call.finish(CallFailed(f"{self.called} is not connected ({self.describe()})", sent=False))
            return
        try:
            buffers = self.connection.send(
                call, client_id=client_id, min_version=min_version, max_version=max_version, expect_reply=expect_reply
            )
            self.requests_sent += 1
            self.used_at = now
            if not expect_reply:
                self._unwritten.append(call)
            self.write(buffers)
        except (EncodeError, UnsupportedVersion) as error:
            call.finish(error)
            return
        except BaseException as error:  # a signal handler's exception too
            self.fail(
                f"a request could not be sent: {type(error).__name__}: {error}"
            )  # half of it may be on the wire: nothing may follow
            raise
        if call.deadline < self.wake_at and not call.is_done and self.inbox is not None:
            self.due = min(self.due, call.deadline)
            self.inbox.wake()

    # the connection; writing is everybody's, the rest is the actor's

    def attach(self, transport: Transport) -> None:
        """Use `transport` from now on."""
        self.transport = transport
        self.failure = None

    def write(self, buffers: list[Any]) -> None:
        """Write `buffers`, now as far as the transport takes them, the rest when it takes more; without any,
        go on with that rest.
        """
        transport = self.transport
        try:
            all_written = transport.write(buffers) if buffers else transport.write_more()
        except OSError as error:
            self.fail(str(error) if isinstance(error, NoTransport) else f"writing failed: {error}")
            return
        if all_written and self._unwritten:
            self._all_written()

    def write_more(self) -> None:
        """Go on with what the transport did not take."""
        self.write([])

    def _all_written(self) -> None:
        """Everything is on its way: so much is all that calls without a reply wait for."""
        observer = self.settings.observer
        while self._unwritten:
            self._unwritten[0].finish()
            call = self._unwritten.popleft()
            if observer is not None:
                observer.answered(self, call, monotonic())

    def close(self) -> list[Call]:
        """Close the connection, if there is one; return the calls whose outcome nobody will learn."""
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.close()
        calls = [*self._unwritten, *self.connection.closed()]
        self._unwritten.clear()
        return calls

    def disown(self) -> None:
        """In a forked child, or without the hub that ran it: let go of the connection, and of all who wait.
        Nobody is told.
        """
        self.inbox = None
        self.host = None  # nobody connects to it again
        self.waiting.clear()
        self.security.disown()
        self.close()
