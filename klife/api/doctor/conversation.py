"""`Conversation`: a few requests over one transport, one after the other, in a greenlet that waits for each.

The doctor's own, and not a `Broker` with its actor: that one keeps at it with a backoff, and the doctor wants
to know what happens the first time.
"""

from __future__ import annotations

from typing import Any

from gevent.event import Event

from klife.actors.network.security import Security
from klife.actors.network.transport import NoTransport, Transport
from klife.actors.network.wrong_listener import TLS, closed_at_once, is_tls
from klife.actors.runtime.thread_pool import call_in_thread
from klife.actors.settings import ConnectionSettings
from klife.protocol.connection import KafkaConnection, State
from klife.protocol.errors import AuthenticationFailed
from klife.protocol.handshake import Compute, TokenWanted
from klife.protocol.in_flight import InFlight
from klife.protocol.sasl.authenticate import authenticating

CLIENT_ID = "klife-doctor"


class Closed(Exception):
    """The broker closed the connection, and says nothing."""


class Conversation:
    """Takes `transport` over, to the broker that is reached as `host`."""

    def __init__(self, transport: Transport, host: str, settings: ConnectionSettings, security: Security) -> None:
        steps = [authenticating(security.mechanism, host)] if settings.sasl is not None else []
        self.connection: KafkaConnection = KafkaConnection(CLIENT_ID, settings.max_response_bytes, steps)
        self.transport = transport
        self._settings = settings
        self._security = security
        self.has_answered: bool = False
        self._woken = Event()
        transport.watch(self._woken.set)

    @property
    def waits_for_token(self) -> bool:
        """Whether that is what the handshake wants."""
        return isinstance(self.connection.wish, TokenWanted)

    def shake_hands(self) -> None:
        """Agree on versions, and authenticate.

        Raises:
            NoTransport, AuthenticationFailed, TokenFailed: the text says all.
            Closed, OSError, DecodeError: the connection is of no use.
        """
        connection = self.connection
        connection.connect()
        self._write(connection.opened())
        while connection.state is not State.READY:
            if connection.wish is not None:
                self._write(connection.done(self._fulfilled(connection.wish)))
            else:
                self._receive()
                self._write(connection.take_handshake())

    def ask(self, request: Any) -> Any:
        """The answer to `request`. Raises as `shake_hands`, and UnsupportedVersion."""
        self._write(self.connection.send(InFlight(request), client_id=CLIENT_ID))
        while not (answered := self._receive()):
            pass
        return answered.popleft().response

    def close(self) -> None:
        self.transport.close()

    def _fulfilled(self, wish: Compute | TokenWanted) -> Any:
        if isinstance(wish, TokenWanted):
            if self._security.tokens is None:
                raise AuthenticationFailed("the mechanism wants a token, and there is no token_provider: set it")
            return self._security.tokens.current()
        try:
            return call_in_thread(wish.run)
        except Exception as error:  # noqa: BLE001 - a mechanism may be the user's; what it raises may hold a secret
            raise AuthenticationFailed(f"{wish.what} failed with {type(error).__name__}") from None

    def _receive(self) -> Any:
        data = self._read()
        if not self.has_answered and self._settings.tls is None and is_tls(data):
            raise NoTransport(TLS)
        self.has_answered = True
        return self.connection.receive(data)

    def _read(self) -> bytes:
        while (data := self.transport.read()) is None:
            self._wait()
        if not data:
            if self.has_answered:
                raise Closed("the broker closed the connection")
            raise Closed(f"the broker closed the connection{closed_at_once(self._settings)}")
        return data

    def _write(self, buffers: list[Any]) -> None:
        if not buffers or self.transport.write(buffers):
            return
        while not self.transport.write_more():
            self._wait()

    def _wait(self) -> None:
        self._woken.wait()
        self._woken.clear()
