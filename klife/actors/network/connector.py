"""`Connector`: opens one transport to a broker, in a greenlet of its own that may be dropped at any moment.

It looks the name up and goes through its addresses until one takes the connection, and TLS where the client
speaks it. The look-up and each address have a deadline of their own (`connect_timeout`): an address that
drops what is sent to it costs one of them and not the whole attempt.

A deadline that passed while the hub did not run says nothing: what the kernel did meanwhile counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

import gevent
from gevent import socket
from gevent.event import Event

from klife.actors.network.addresses import Address, Addresses
from klife.actors.network.look_up import looked_up
from klife.actors.network.security import Security
from klife.actors.network.transport import NoTransport, PlainTransport, Transport, close_at_once
from klife.actors.network.wrong_listener import wants_sasl
from klife.actors.runtime.forked import is_forked
from klife.actors.runtime.hub_pause import WORTH_TELLING
from klife.actors.runtime.latch import never_waits
from klife.actors.settings import ConnectionSettings
from klife.host_name import why_no_host
from klife.protocol.errors import DecodeError

# A balancer forgets idle connections, after one to ten minutes mostly, and some say nothing when they do.
# Probes each half minute keep them alive there, and find out within a minute when one is gone. (No
# TCP_USER_TIMEOUT: it would also end the connection of a broker that does not read because we are over a
# quota.)
_KEEPALIVE = (
    ("TCP_KEEPIDLE", 30),  # seconds of quiet until the first probe
    ("TCP_KEEPALIVE", 30),  # the same in the words of macOS
    ("TCP_KEEPINTVL", 10),
    ("TCP_KEEPCNT", 3),
)


LONG_SECONDS = 1.0  # that something takes before it is told
_ANSWER_SECONDS = 3.0  # for the question whether a broker wants SASL; who waits for the reason is told within five


class Connector:
    """Opens a transport to `port` of one of `addresses`; calls `done` once `outcome` is there."""

    def __init__(
        self,
        addresses: Addresses,
        port: int,
        settings: ConnectionSettings,
        security: Security,
        done: Callable[[], None],
        *,
        asks_for_sasl: bool = False,
    ) -> None:
        """With `asks_for_sasl` the broker is asked first whether it wants SASL; if so, there is no transport."""
        self.outcome: Transport | OSError | None = None
        """The `Transport`, ready for Kafka's bytes, or the OSError that says why there is none. Noted in
        `addresses` it is already.
        """
        self._addresses = addresses
        self._port = port
        self._settings = settings
        self._security = security
        self._done = done
        self._asks_for_sasl = asks_for_sasl
        self._asked: Transport | None = None  # what that goes over
        self._opening: Any = None  # the last socket made
        self._may_open = True
        self._step = ("the name is not looked up", monotonic())
        # In the loop's next turn, and so not while `Client.start` waits for its actors: looking a name up
        # takes a thread, and uWSGI's master, which forks in C when it has loaded the application, must not be
        # in the middle of starting one.
        self._greenlet = gevent.spawn_later(0, self._run)
        never_waits(self._greenlet)

    def awaited(self) -> str | None:
        """What it has waited for for a while, in words; None where all goes on."""
        what, since = self._step
        waited = monotonic() - since
        return f"{what} for {waited:.0f} s" if waited >= LONG_SECONDS else None

    def drop(self) -> None:
        """The transport is not wanted any more."""
        self._greenlet.kill(block=False)
        self._close()

    def disown(self) -> None:
        """In a forked child: open nothing, also if the greenlet has hardly begun, as when `gunicorn
        --preload` forks.
        """
        self._may_open = False
        if self._opening is not None:
            close_at_once(self._opening)
        self._close()

    def _close(self) -> None:
        """Close the transport, if there is one that is not the broker's yet."""
        if self._asked is not None:
            self._asked.close()
        if self.outcome is not None and not isinstance(self.outcome, OSError):
            self.outcome.close()

    def _run(self) -> None:
        try:
            self.outcome = self._opened()
        except OSError as error:
            self.outcome = error
        except Exception as error:  # noqa: BLE001 - a name that no resolver takes, a socket option out of range: no connection either
            self.outcome = OSError(f"{type(error).__name__}: {error}")
        self._done()

    def _opened(self) -> Transport:
        addresses = self._addresses
        if addresses.is_through:
            try:
                addresses.found(self._look_up())
            except Exception as failure:
                addresses.not_found(f"connecting failed: {failure}")
                raise
        error: Exception = OSError("not in a forked child")
        while not addresses.is_through and self._may_go_on():
            address = addresses.take()
            try:
                if self._asks_for_sasl:
                    self._look_for_sasl(address)
                return self._transport_to(address)
            except Exception as failure:  # noqa: BLE001 - see `_run`; the next address may do
                error = failure
                addresses.failed(str(failure) if isinstance(failure, NoTransport) else f"connecting failed: {failure}")
        raise error

    def _look_up(self) -> Any:
        timeout = self._settings.connect_timeout
        if (why := why_no_host(self._addresses.host)) is not None:
            raise OSError(f"{self._addresses.host!r} is no name of a host: {why}")
        while True:
            began = monotonic()
            self._step = ("the name is not looked up", began)
            found = looked_up(self._addresses.host, self._port, timeout)
            if found is not None:
                if not found:
                    raise OSError(f"{self._addresses.host} has no address")
                return found
            if monotonic() - began < timeout + WORTH_TELLING:  # else the hub did not run, and the answer may be there
                raise TimeoutError(f"the name was not looked up within {timeout:g} s")

    def _transport_to(self, address: Address) -> Transport:
        tls = self._security.tls
        began = monotonic()
        self._step = ("the connection is not taken", began)
        sock = self._connected(address)
        try:
            if tls is None:
                return PlainTransport(sock)
            self._step = ("the TLS handshake is unanswered", monotonic())
            return tls.secured(sock, self._addresses.host, began, self._may_go_on, lambda: self._connected(address))
        finally:
            sock.close()  # of what a transport took over, nothing is left

    def _look_for_sasl(self, address: Address) -> None:
        transport = self._asked = self._transport_to(address)
        self._step = ("the question whether it wants SASL is unanswered", monotonic())
        arrived = Event()
        transport.watch(arrived.set)

        def wait() -> None:
            arrived.wait()
            arrived.clear()
            if not self._may_go_on():
                raise OSError("not in a forked child")

        told = None
        try:
            with gevent.Timeout(min(_ANSWER_SECONDS, self._settings.connect_timeout), False), suppress(OSError, DecodeError):
                told = wants_sasl(transport, wait)
        finally:
            self._asked = None
            transport.close()
        if told is not None:
            raise NoTransport(told)

    def _may_go_on(self) -> bool:
        return self._may_open and not is_forked()

    def _connected(self, address: Address) -> Any:
        family, kind, protocol, where = address
        timeout = self._settings.connect_timeout
        self._opening = sock = socket.socket(family, kind, protocol)
        try:
            self._set_options(sock)
            expired = True
            with gevent.Timeout(timeout, False):
                sock.connect(where)
                expired = False
            if expired and not _is_connected(sock):
                raise TimeoutError(f"no connection within {timeout:g} s")
        except BaseException:
            sock.close()
            raise
        return sock

    def _set_options(self, sock: Any) -> None:
        """Before it is connected: what a buffer's size means for TCP's window is settled then. The user's
        come last, and win.
        """
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, setting in _KEEPALIVE:
            option = getattr(socket, name, None)  # which there are is the platform's
            if option is not None:
                sock.setsockopt(socket.IPPROTO_TCP, option, setting)
        for level, option, value in self._settings.socket_options:
            sock.setsockopt(level, option, value)


def _is_connected(sock: Any) -> bool:
    """What became of a connect whose time is over: the hub may have been away when the answer came.

    Raises:
        OSError: it was refused.
    """
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
