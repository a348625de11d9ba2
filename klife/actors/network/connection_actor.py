"""`ConnectionActor`: keeps one broker's connection, and moves its bytes.

One greenlet does it all, because nothing here waits: the socket never blocks, its readiness wakes the actor,
and the only thing that takes time, connecting (with the name look-up), runs in a helper greenlet that the
actor owns and can drop (`Connector`). So a stop or a kill is served at once in every state.

An unreachable broker is a state with a backoff, never a crash. The backoff ends early where there is a reason
to think that the broker is back (`Broker.try_now`). Every step has a deadline: connecting and the
handshake `connect_timeout`, each request its own. When a request's passes, the connection is closed: answers
come in order, so whatever is behind the missing one is stuck too, and a half-open connection is found only
this way. But first everything that has arrived is read: where the hub did not run, the answer may have been
there for long.

The handshake is the `Session`'s. One that is renewed takes no requests meanwhile; if that fails, the
connection is made anew.

While a broker throttles us (KIP-219) it reads nothing of this connection, so what is in flight has that much
more time. The pause is the broker's wish and not the socket's: a new connection keeps it.

A connection with nothing in flight is closed after `max_idle`, before somebody on the way forgets it without
a word. Whoever closes an idle one, nobody opens it again until it is needed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from klife.actors.network.addresses import Addresses
from klife.actors.network.backoff import backoff
from klife.actors.network.broker import Broker
from klife.actors.network.call import CallFailed
from klife.actors.network.connector import Connector
from klife.actors.network.session import Session
from klife.actors.network.timetable import is_idle, next_look, overdue
from klife.actors.network.transport import NoTransport
from klife.actors.network.wrong_listener import CLOSED_AT_FIRST_REQUEST, TLS, ended_in_handshake, is_tls, why_of_no_use
from klife.actors.runtime.actor import GeventActor
from klife.actors.runtime.hub_pause import pause_told
from klife.actors.settings import NEVER
from klife.protocol.connection import State
from klife.protocol.errors import AuthenticationFailed, DecodeError
from klife_supervision import ExitReason
from klife_supervision.logs import Logger, get_logger

log: Logger = get_logger("klife.connection")

_READS_A_TURN = 32
_DISCONNECTED, _READY = State.DISCONNECTED, State.READY  # looking a member up in its class takes a while


class ConnectionActor(GeventActor):
    """Owns the socket of one `Broker`."""

    may_wait_for_klife = False

    def __init__(self, broker: Broker, on_trouble: Callable[[Broker], None], on_connected: Callable[[Broker], None]) -> None:
        """`on_trouble` is told of each failure, `on_connected` of each connection that can be used."""
        super().__init__()
        self.broker = broker
        self._on_trouble = on_trouble
        self._on_connected = on_connected
        self._addresses = Addresses(broker.host or "")
        self._connector: Any = None
        self._session = Session(broker, self.actor_inbox.wake)
        self._retry_at = 0.0
        self._failures = 0
        self._ready_at = NEVER
        self._answered = False  # whether this connection ever brought an answer, beyond the handshake's
        self._wants_sasl = False  # whether the broker closed a connection as one does that wants SASL

    @property
    def state(self) -> str:
        """Shown in the supervision tree."""
        return self.broker.connection.state.value

    @property
    def looks_in_hub(self) -> bool:
        return self.broker.settings.observer is None

    def on_start(self) -> None:
        self.broker.inbox = self.actor_inbox
        self.broker.wake_at = NEVER
        self.broker.due = self.broker.throttled_until or NEVER
        self.actor_inbox.wake()

    def on_exit(self, reason: ExitReason) -> None:
        if self.broker.inbox is self.actor_inbox:
            self.broker.inbox = None
            self._close(f"the connection's actor ended ({reason})")
        else:
            self._drop_helpers()

    def on_wake(self) -> None:
        broker, connection = self.broker, self.broker.connection
        now = monotonic()
        if broker.failure is not None and connection.state is not _DISCONNECTED:
            self._failed(broker.failure, now)
        if self._connector is not None and self._connector.outcome is not None:
            self._adopt(now)
        all_read = True
        if broker.transport is not None:
            if broker.transport.writable:
                broker.write_more()
            if broker.transport.readable or now >= broker.wake_at:
                all_read = self._read(now)
        if broker.released and connection.state is _READY and not broker.calls:
            broker.released = False
            self._close_unneeded("not needed any more")
        if broker.throttled_until and now >= broker.throttled_until:
            broker.throttled_until = 0.0
            self._wake_waiting()
        if connection.state is _DISCONNECTED:
            broker.failure = None
            if broker.skips_backoff:
                broker.skips_backoff = False
                self._retry_at = now
            if broker.waiting and broker.host is not None and self._connector is None:
                if now >= self._retry_at:
                    self._connect()
                else:
                    broker.due = self._retry_at
        if broker.due < broker.wake_at or now >= broker.wake_at:
            self._keep_time(now, all_read)

    def look_again(self) -> None:
        if self.broker.transport is not None:
            self.broker.transport.watch_again()

    # connecting

    def _connect(self) -> None:
        broker = self.broker
        assert broker.host is not None
        if self._addresses.host != broker.host:
            self._addresses = Addresses(broker.host)
        broker.connection.connect()
        broker.connects += 1
        self._connector = Connector(
            self._addresses, broker.port, broker.settings, broker.security, self.actor_inbox.wake, asks_for_sasl=self._wants_sasl
        )
        broker.awaited = self._connector.awaited

    def disown(self) -> None:
        super().disown()
        self._session.disown()
        if self._connector is not None:
            self._connector.disown()

    def _adopt(self, now: float) -> None:
        connector, self._connector = self._connector, None
        if isinstance(connector.outcome, OSError):
            self._lost(self._addresses.all_told() or f"connecting failed: {connector.outcome}", now)
            return
        self._wants_sasl = False
        self.broker.awaited = self._session.awaited
        connector.outcome.watch(self.actor_inbox.wake_from_hub)
        self.broker.attach(connector.outcome)
        self._session.begin(now)

    def _handshake(self, moves: Callable[[], object], now: float) -> bool:
        """Let the session move on; return whether there still is a connection."""
        broker = self.broker
        try:
            moves()
        except AuthenticationFailed as error:
            self._refused(error, now)
            return False
        if broker.connection.state is _READY:
            self._session.settled(now)
            if self._ready_at == NEVER:
                self._became_ready(now)
            else:
                self._wake_waiting()
        return broker.transport is not None

    def _refused(self, error: AuthenticationFailed, now: float) -> None:
        self._session.refused()
        self._failed(str(error), now)

    def _became_ready(self, now: float) -> None:
        broker = self.broker
        unusable = why_of_no_use(broker.connection.ranges)
        if unusable is not None:
            self._failed(unusable, now)
            return
        self._ready_at = broker.used_at = broker.answered_at = now
        broker.failing_since = None
        broker.skips_backoff = broker.tried_early = False
        self._answered = False
        self._addresses.worked()
        broker.last_error = broker.awaited = None
        broker.due = min(broker.due, now + broker.settings.max_idle)
        if broker.connection.throttle_ms > 0:
            self._throttled(broker.connection.throttle_ms / 1000, now)
        self._observed("ready")
        self._wake_waiting()
        self._on_connected(broker)

    def _wake_waiting(self) -> None:
        if self.broker.is_ready:
            waiting, self.broker.waiting = self.broker.waiting, {}
            for wake in waiting:
                wake()

    # moving bytes

    def _read(self, now: float) -> bool:
        """Take what has arrived, so much of it as a turn allows; return whether that was all."""
        broker = self.broker
        connection, transport = broker.connection, broker.transport
        was_ready = connection.state is _READY
        observer = broker.settings.observer
        for _ in range(_READS_A_TURN):
            try:
                data = transport.read()
            except NoTransport as error:
                self._failed(str(error), now)
                return True
            except OSError as error:
                self._ended(f"reading failed: {error}", now)
                return True
            if data is None:
                return True
            if not data:
                self._ended("the broker closed the connection", now)
                return True
            try:
                answered = connection.receive(data)
            except AuthenticationFailed as error:
                self._refused(error, now)
                return True
            except DecodeError as error:
                if connection.state is State.NEGOTIATING and broker.settings.tls is None and is_tls(data):
                    self._failed(TLS, now)
                    return True
                log.error("response_not_understood", broker=broker.told_id, address=broker.address, error=str(error))
                self._failed(f"a response was not understood: {error}", now)
                return True
            if answered:
                if self._failures:  # not by the handshake: a broker whose answers break us must not be tried without a pause
                    log.info("connection_restored", broker=broker.told_id, address=broker.address, attempt=self._failures + 1)
                    self._failures = 0
                self._answered = True
                broker.used_at = broker.answered_at = now
            while answered:
                call = answered[0]
                throttle_ms = getattr(call.response, "throttle_time_ms", 0)
                if throttle_ms > 0:
                    self._throttled(throttle_ms / 1000, now)
                call.finish()
                answered.popleft()
                if observer is not None:
                    observer.answered(broker, call, now)
            if not was_ready:
                if not self._handshake(self._session.go_on, now):
                    return True
                was_ready = connection.state is _READY
            if not transport.readable:
                return True
        broker.due = now  # the rest in the loop's next turn: what a transport holds already makes no socket ready
        return False

    def _throttled(self, seconds: float, now: float) -> None:
        """The broker has answered already, and counts on us to wait (KIP-219); what else is on its way waits
        in its socket so long.
        """
        broker = self.broker
        if broker.settings.observer is not None:
            broker.settings.observer.throttled(broker, seconds)
        broker.throttled_until = max(broker.throttled_until, now + seconds)
        broker.due = min(broker.due, broker.throttled_until)
        self._session.deadline += seconds
        for call in broker.calls:
            call.deadline += seconds

    # deadlines and the end of a connection

    def _keep_time(self, now: float, all_read: bool) -> None:
        """Act on deadlines that passed and wake for the next one.

        The timer is left alone while it fires early enough: deadlines get later as requests come and go, so
        at a steady flow of requests this runs once in a request's timeout and not once a request.
        """
        broker = self.broker
        if self._session.has_errand:
            self._handshake(self._session.take_errand, now)
        late = overdue(broker, self._session, now) if all_read else None
        if late is not None:
            pause = pause_told(now - broker.wake_at)
            self._failed(f"{late}; {pause}" if pause else late, now)
        elif is_idle(broker, now):
            self._close_unneeded("nothing was sent for connections_max_idle_ms")
        elif now >= self._session.renew_at:
            self._handshake(partial(self._session.renew, now), now)
        if not all_read:
            due = now
        elif broker.connection.state is _DISCONNECTED:
            due = self._retry_at if broker.waiting and broker.host is not None and self._connector is None else NEVER
        else:
            due = next_look(broker, self._session, now)
        if broker.throttled_until:
            due = min(due, broker.throttled_until)
        broker.due = NEVER
        broker.wake_at = due
        if due != NEVER:
            self.wake_after(due - now)

    def _ended(self, reason: str, now: float) -> None:
        """The other side is gone. A broker may close what is idle (connections.max.idle.ms), and does when it
        is stopped: no failure if nobody waits, unless it does nothing else.
        """
        broker = self.broker
        unfinished = ended_in_handshake(broker)
        if unfinished is not None:
            self._failed(reason + unfinished, now)
        elif not self._has_worked(now):
            self._wants_sasl = bool(broker.calls) and broker.settings.sasl is None
            self._failed(reason + (CLOSED_AT_FIRST_REQUEST if self._wants_sasl else ""), now)
        elif broker.calls:
            self._failed(reason, now)
        else:
            self._close_unneeded(reason)

    def _has_worked(self, now: float) -> bool:
        """Whether this connection was of any use. With acks 0 nothing may ever have come back."""
        return self._answered or now - self._ready_at > self.broker.settings.reconnect_backoff_max

    def _close_unneeded(self, reason: str) -> None:
        """Close the connection, which is no failure; it is opened again when somebody wants it."""
        broker = self.broker
        log.debug("connection_closed", broker=broker.told_id, address=broker.address, reason=reason)
        self._close(reason)
        broker.last_error = None
        self._observed("closed", reason)

    def _failed(self, reason: str, now: float) -> None:
        """The address in use is of no use now."""
        if self._connector is None:  # else it is on its way, and to nobody's blame
            self._addresses.failed(reason)
        self._lost(self._addresses.told(reason), now)

    def _lost(self, reason: str, now: float) -> None:
        """There is no connection, and it is tried again after a pause."""
        broker = self.broker
        settings = broker.settings
        if now - self._ready_at > settings.reconnect_backoff_max:  # it worked, though with acks 0 nothing may ever have come back
            self._failures = 0
        self._failures += 1
        if broker.failing_since is None:
            broker.failing_since = now
        self._retry_at = now + backoff(self._failures, settings.reconnect_backoff, settings.reconnect_backoff_max, random.random())
        broker.due = self._retry_at
        log.warning("connection_failed", broker=broker.told_id, address=broker.address, reason=reason, attempt=self._failures)
        self._close(reason)
        broker.last_error = self._addresses.all_told() or reason
        self._observed("failed", reason)
        self._on_trouble(broker)

    def _close(self, reason: str) -> None:
        broker = self.broker
        broker.last_error = reason
        broker.failure = None
        if self._ready_at != NEVER:
            self._ready_at = NEVER
            self._addresses.look_up_again()
        self._drop_helpers()
        observer = broker.settings.observer
        for call in broker.close():
            if call.response is not None:  # it came right before what ended the connection
                call.finish()
            else:
                call.finish(CallFailed(f"{broker.called} ({broker.address}): {reason}", sent=True))
            if observer is not None:
                observer.answered(broker, call, monotonic())

    def _observed(self, state: str, reason: str | None = None) -> None:
        if self.broker.settings.observer is not None:
            self.broker.settings.observer.connection(self.broker, state, reason)

    def _drop_helpers(self) -> None:
        """What they are on their way to is not wanted any more."""
        self._session.close()
        self.broker.awaited = None
        if self._connector is not None:
            self._connector.drop()
            self._connector = None
