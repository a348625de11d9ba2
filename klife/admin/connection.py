"""`BrokerConnection`: one connection to one broker, one request at a time, opened and secured as those of klife's
client are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakMethod

import gevent
from gevent._hub_local import get_hub_if_exists
from gevent.event import Event

from klife.actors.network.addresses import Addresses
from klife.actors.network.connector import Connector
from klife.actors.network.errand import Errand
from klife.actors.network.security import Security
from klife.actors.network.transport import NoTransport, Transport
from klife.actors.network.wrong_listener import CLOSED_AT_FIRST_REQUEST, TLS, closed_at_once, is_tls, why_of_no_use
from klife.actors.runtime.forked import take_note
from klife.actors.settings import NEVER, ConnectionSettings
from klife.errors import AdminError
from klife.protocol.connection import KafkaConnection, State
from klife.protocol.errors import AuthenticationFailed
from klife.protocol.handshake import Compute, TokenWanted
from klife.protocol.in_flight import InFlight
from klife.protocol.message import Request, Response
from klife.protocol.sasl.authenticate import authenticating

R = TypeVar("R", bound=Response)

ATTEMPT_TIMEOUT_SECONDS = 5.0
CLIENT_ID = "klife-admin"
_SESSION_USED = 0.8  # of its life: then there is a new connection instead


class BrokerConnection:
    """One connection, one request at a time. OSError and DecodeError mean that it is of no more use.

    AdminError where the broker does not take us for whom we say we are: another attempt would not help.
    """

    def __init__(
        self, address: str, settings: ConnectionSettings, security: Security, timeout: float = ATTEMPT_TIMEOUT_SECONDS
    ) -> None:
        take_note()  # else nothing would be opened in a forked child
        self._hub = gevent.get_hub()
        self._transport: Transport | None = None
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        steps = [authenticating(security.mechanism, host)] if security.mechanism is not None else []
        self._settings = settings
        self._security = security
        self._machine = KafkaConnection(CLIENT_ID, settings.max_response_bytes, steps)
        self._news = Event()
        self._is_asked = True
        self._has_answered = False  # a request, beyond the handshake
        self._over_at = NEVER
        self._process = os.getpid()
        self._machine.connect()
        try:
            self._transport = self._opened(Connector(Addresses(host), int(port), settings, security, self._news.set))
            self._transport.watch(_weakly(self._woken))  # the loop must not keep what nobody else does
            with _at_most(timeout):
                self._shake_hands()
        except AuthenticationFailed as error:
            self.close()
            raise AdminError(f"{address}: {error}", error.error_code) from None
        except BaseException:
            self.close()
            raise
        self._is_asked = False

    def __del__(self) -> None:
        if get_hub_if_exists() is self._hub:  # its watchers are nobody else's to stop
            self.close()

    @property
    def is_of_use(self) -> bool:
        """Whether a request may be sent: in this process, the broker has not closed it, and its session lasts."""
        return self._transport is not None and time.monotonic() < self._over_at and self._process == os.getpid()

    def request(self, request: Request[R], timeout: float = ATTEMPT_TIMEOUT_SECONDS, *, max_version: int | None = None) -> R:
        """Send, and wait at most `timeout` seconds for each part of the answer."""
        self._is_asked = True
        with _at_most(timeout):
            self._write(self._machine.send(InFlight(request), client_id=CLIENT_ID, max_version=max_version))
        answered: Any = None
        while not answered:
            with _at_most(timeout):
                data = self._read()
            answered = self._machine.receive(data)
        self._is_asked, self._has_answered = False, True
        response: R = answered.popleft().response
        return response

    def close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _opened(self, connector: Connector) -> Transport:
        try:
            while connector.outcome is None:
                self._wait()
        except BaseException:
            connector.drop()
            raise
        if isinstance(connector.outcome, OSError):
            raise connector.outcome
        return connector.outcome

    def _shake_hands(self) -> None:
        machine = self._machine
        self._write(machine.opened())
        while machine.state is not State.READY:
            if machine.wish is not None:
                self._write(machine.done(self._fulfilled(machine.wish)))
            else:
                data = self._read()
                if machine.state is State.NEGOTIATING and self._settings.tls is None and is_tls(data):
                    raise ConnectionError(TLS)
                machine.receive(data)
                self._write(machine.take_handshake())
        if (unusable := why_of_no_use(machine.ranges)) is not None:
            raise ConnectionError(unusable)
        if machine.session_lifetime_ms:
            self._over_at = time.monotonic() + machine.session_lifetime_ms / 1000 * _SESSION_USED

    def _fulfilled(self, wish: Compute | TokenWanted) -> Any:
        errand = Errand(wish, self._security, self._news.set)
        try:
            while not errand.is_done:
                self._wait()
        except TimeoutError as error:
            raise TimeoutError(f"{errand.is_late}: {error}") from None
        finally:
            errand.drop()
        if errand.failure is not None:
            raise OSError(errand.failure)
        return errand.result

    def _write(self, buffers: Sequence[Any]) -> None:
        transport = self._there()
        all_written = not buffers or transport.write(list(buffers))
        while not all_written:
            self._wait()
            all_written = transport.writable and transport.write_more()

    def _read(self) -> bytes:
        transport = self._there()
        data = None
        while data is None:
            while not transport.readable:
                self._wait()
            try:
                data = transport.read()
            except NoTransport:
                raise
            except OSError as error:
                raise ConnectionError(f"reading failed: {error}{self._why_closed()}") from None
        if not data:
            raise ConnectionError(f"the broker closed the connection{self._why_closed()}")
        return data

    def _why_closed(self) -> str:
        if self._machine.state is State.NEGOTIATING:
            return closed_at_once(self._settings)
        return "" if self._has_answered or self._settings.sasl is not None else CLOSED_AT_FIRST_REQUEST

    def _there(self) -> Transport:
        if self._transport is None:
            raise ConnectionError("the connection is closed")
        return self._transport

    def _wait(self) -> None:
        self._news.wait()
        self._news.clear()

    def _woken(self) -> None:
        if self._is_asked:
            self._news.set()
            return
        # Nobody asked, so it is TLS' own business, or the end, which would keep the loop busy.
        with suppress(OSError):
            if self._there().read() is None:
                return
        self.close()


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    found = WeakMethod(method)

    def call() -> None:
        if (alive := found()) is not None:
            alive()

    return call


def _at_most(seconds: float) -> Any:
    return gevent.Timeout(seconds, TimeoutError(f"no answer within {seconds:g} s"))
