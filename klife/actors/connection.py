"""`ConnectionActor`: keeps one broker's connection, and moves its bytes.

One greenlet does it all, because nothing here waits: the socket never blocks, its readiness wakes the actor, and the only thing that
takes time, connecting (with the name look-up), runs in a helper greenlet that the actor owns and can drop. So a stop or a kill is
served at once in every state.

An unreachable broker is a state with a backoff, never a crash. Every step has a deadline: connecting and the handshake
`connect_timeout`, each request its own. When a request's passes, the connection is closed: answers come in order, so whatever is
behind the missing one is stuck too, and a half-open connection is found only this way.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic
from typing import Any

import gevent
from gevent import socket

from klife.actors.backoff import backoff
from klife.actors.channel import BrokerChannel, CallFailed, close_at_once, without_gevent
from klife.actors.runtime.actor import GeventActor
from klife.actors.runtime.forked import is_forked
from klife.protocol.api_keys import api_name
from klife.protocol.connection import State
from klife.protocol.errors import DecodeError
from klife_supervision import ExitReason
from klife_supervision.logs import get_logger

log = get_logger("klife.connection")

_READ_BYTES = 65_536  # as much as the allocator keeps at hand; larger buffers are mapped and unmapped for each read
_READS_A_TURN = 32
_NEVER = float("inf")


class ConnectionActor(GeventActor):
    """Owns the socket of one `BrokerChannel`."""

    def __init__(self, channel: BrokerChannel, on_trouble: Callable[[BrokerChannel], None]) -> None:
        super().__init__()
        self.channel = channel
        self._on_trouble = on_trouble
        self._connector: Any = None
        self._opening: Any = None  # the last socket the connector made
        self._may_open = True
        self._connected: Any = None  # what the connector came back with: a socket or an exception
        self._retry_at = 0.0
        self._failures = 0
        self._ready_at = _NEVER
        self._handshake_deadline = _NEVER

    @property
    def state(self) -> str:
        """Shown in the supervision tree."""
        return self.channel.connection.state.value

    def on_start(self) -> None:
        self.channel.inbox = self.actor_inbox
        self.channel.wake_at = _NEVER
        self.actor_inbox.wake()

    def on_exit(self, reason: ExitReason) -> None:
        if self._connector is not None:
            self._connector.kill(block=False)
        if self.channel.inbox is self.actor_inbox:
            self.channel.inbox = None
            if self._connected is not None and not isinstance(self._connected, OSError):
                self._connected.close()
            self._close(f"the connection's actor ended ({reason})")

    def on_wake(self) -> None:
        channel, connection = self.channel, self.channel.connection
        now = monotonic()
        if channel.failure is not None and connection.state is not State.DISCONNECTED:
            self._failed(channel.failure, now)
        if self._connected is not None:
            self._adopt(now)
        if channel.writable and channel.sock is not None:
            channel.write_more()
        if channel.readable and channel.sock is not None:
            self._read(now)
        if channel.released and connection.state is State.READY and not channel.calls:
            channel.released = False
            self._close("not needed any more")
            channel.last_error = None
        if channel.throttled_until and now >= channel.throttled_until:
            channel.throttled_until = 0.0
            self._wake_waiting()
        if connection.state is State.DISCONNECTED:
            channel.failure = None
            if channel.waiting and channel.host is not None and self._connector is None:
                if now >= self._retry_at:
                    self._connect()
                else:
                    channel.due = self._retry_at
        if channel.due < channel.wake_at or now >= channel.wake_at:
            self._keep_time(now)

    # connecting

    def _connect(self) -> None:
        channel = self.channel
        channel.connection.connect()
        channel.connects += 1
        # In the loop's next turn, and so not while `Client.start` waits for its actors: looking a name up takes a thread, and uWSGI's
        # master, which forks in C when it has loaded the application, must not be in the middle of starting one.
        self._connector = gevent.spawn_later(0, self._open_socket, channel.host, channel.port)

    def _open_socket(self, host: str, port: int) -> None:
        """In a greenlet of its own: look the name up and connect."""
        settings = self.channel.settings
        sock = None
        try:
            with gevent.Timeout(settings.connect_timeout):
                sock = self._opened_socket(host, port)
            self._connected, sock = without_gevent(sock), None
        except gevent.Timeout:
            self._connected = TimeoutError(f"no connection within {settings.connect_timeout:g} s")
        except OSError as error:
            self._connected = error
        except Exception as error:  # noqa: BLE001 - a name that no resolver takes, a socket option out of range: no connection either
            self._connected = OSError(f"{type(error).__name__}: {error}")
        finally:
            if sock is not None:
                sock.close()
        self.actor_inbox.wake()

    def _opened_socket(self, host: str, port: int) -> Any:
        """A socket connected to the first of the host's addresses that takes it."""
        last_error = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
            if not self._may_open or is_forked():
                break
            self._opening = socket.socket(family, kind, protocol)
            try:
                self._set_options(self._opening)
                self._opening.connect(address)
                return self._opening
            except OSError as error:
                last_error = error
                self._opening.close()
            except BaseException:
                self._opening.close()
                raise
        raise last_error

    def _set_options(self, sock: Any) -> None:
        """Before it is connected: what a buffer's size means for TCP's window is settled then."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for level, option, value in self.channel.settings.socket_options:
            sock.setsockopt(level, option, value)

    def disown(self) -> None:
        super().disown()
        self._may_open = False  # a connector that is not so far yet: `gunicorn --preload` forks when hardly anything has run
        if self._opening is not None:  # it may not be the channel's yet
            close_at_once(self._opening)
        if self._connected is not None and not isinstance(self._connected, OSError):
            self._connected.close()

    def _adopt(self, now: float) -> None:
        result, self._connected, self._connector = self._connected, None, None
        if isinstance(result, OSError):
            self._failed(f"connecting failed: {result}", now)
            return
        if self.channel.connection.state is not State.CONNECTING:
            result.close()
            return
        self.channel.attach(result, self.actor_inbox)
        self.channel.due = self._handshake_deadline = now + self.channel.settings.connect_timeout
        self.channel.write(self.channel.connection.opened())

    def _became_ready(self) -> None:
        channel = self.channel
        self._handshake_deadline = _NEVER
        self._ready_at = monotonic()
        channel.last_error = None
        self._wake_waiting()

    def _wake_waiting(self) -> None:
        waiting, self.channel.waiting = self.channel.waiting, {}
        for wake in waiting:
            wake()

    # moving bytes

    def _read(self, now: float) -> None:
        channel = self.channel
        connection = channel.connection
        channel.readable = False
        negotiating = connection.state is State.NEGOTIATING
        for _ in range(_READS_A_TURN):
            try:
                data = channel.sock.recv(_READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._failed(f"reading failed: {error}", now)
                return
            if not data:
                self._closed_by_broker(now)
                return
            try:
                replies = connection.receive(data)
            except DecodeError as error:
                log.error("response_not_understood", broker=channel.node_id, address=channel.address, error=str(error))
                self._failed(f"a response was not understood: {error}", now)
                return
            if replies:
                self._failures = 0  # not by the handshake: a broker whose answers break us must not be tried without a pause
            for reply in replies:
                throttle_ms = getattr(reply.response, "throttle_time_ms", 0)
                if throttle_ms > 0:  # the broker has answered already, and counts on us to wait (KIP-219)
                    channel.throttled_until = max(channel.throttled_until, now + throttle_ms / 1000)
                    channel.due = min(channel.due, channel.throttled_until)
                if reply.tag in channel.calls:
                    del channel.calls[reply.tag]
                    reply.tag.finish(reply.response)
            if negotiating:
                handshake = connection.take_handshake()
                if handshake:
                    channel.write(handshake)
                if connection.state is State.READY:
                    negotiating = False
                    self._became_ready()
            if len(data) < _READ_BYTES:
                return

    # deadlines and the end of a connection

    def _keep_time(self, now: float) -> None:
        """Act on deadlines that passed and wake for the next one.

        The timer is left alone while it fires early enough: deadlines get later as requests come and go, so at a steady flow of
        requests this runs once in a request's timeout and not once a request.
        """
        channel = self.channel
        if now >= self._handshake_deadline:
            self._failed(f"the handshake was not through within {channel.settings.connect_timeout:g} s", now)
        late = next((call for call in channel.calls if call.deadline <= now), None)
        if late is not None:
            self._failed(f"a {api_name(late.request.API_KEY)} request was not answered in time", now)
        if channel.connection.state is State.DISCONNECTED:
            due = self._retry_at if channel.waiting and channel.host is not None and self._connector is None else _NEVER
        else:
            due = min(
                self._handshake_deadline,
                channel.throttled_until or _NEVER,
                min((call.deadline for call in channel.calls), default=_NEVER),
            )
        channel.due = _NEVER
        channel.wake_at = due
        if due != _NEVER:
            self.wake_after(due - now)

    def _closed_by_broker(self, now: float) -> None:
        """A broker may close what is idle (connections.max.idle.ms), and does when it is stopped: no failure if nobody waits."""
        channel = self.channel
        reason = "the broker closed the connection"
        if channel.connection.state is not State.READY or channel.calls:
            self._failed(reason, now)
            return
        log.info("connection_closed", broker=channel.node_id, address=channel.address, reason=reason)
        self._close(reason)
        channel.last_error = None
        self._on_trouble(channel)

    def _failed(self, reason: str, now: float) -> None:
        channel = self.channel
        settings = channel.settings
        if now - self._ready_at > settings.reconnect_backoff_max:  # it worked, though with acks 0 nothing may ever have come back
            self._failures = 0
        self._ready_at = _NEVER
        self._failures += 1
        self._retry_at = now + backoff(self._failures, settings.reconnect_backoff, settings.reconnect_backoff_max, random.random())
        channel.due = self._retry_at
        log.warning("connection_failed", broker=channel.node_id, address=channel.address, reason=reason, attempt=self._failures)
        self._close(reason)
        self._on_trouble(channel)

    def _close(self, reason: str) -> None:
        channel = self.channel
        channel.last_error = reason
        channel.failure = None
        self._handshake_deadline = _NEVER
        if self._connector is not None:  # on its way to an address that is not wanted any more
            self._connector.kill(block=False)
            self._connector = None
        channel.detach()
        channel.connection.closed()
        calls, channel.calls = channel.calls, {}
        for call in calls:
            call.finish(None, CallFailed(f"broker {channel.node_id} ({channel.address}): {reason}", sent=True))
