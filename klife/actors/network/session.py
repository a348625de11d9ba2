"""`Session`: the handshake of a connection, and the renewals of what it has settled (KIP-368).

What a handshake waits for besides the broker (a token, a password that takes long to salt) is done by an
`Errand`, within the handshake's deadline. A session is renewed before it ends, also where nothing is sent:
brokers close a connection at the first request after its end. What was on its way is answered first, and so
the deadline is counted from then.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from klife.actors.network.broker import Broker
from klife.actors.network.connector import LONG_SECONDS
from klife.actors.settings import NEVER
from klife.protocol.connection import State
from klife.protocol.errors import AuthenticationFailed
from klife_supervision.logs import Logger, get_logger

if TYPE_CHECKING:
    from klife.actors.network.errand import Errand

log: Logger = get_logger("klife.connection")

_RENEWED_AT = (0.85, 0.95)  # of a session's life: connections that began together do not end together
_LEAST_SECONDS = 1.1  # a broker refuses who comes again within one


class Session:
    """Of the present connection of `broker`, for the actor that owns it. `wake` is called when an errand is
    done: `take_errand` then.
    """

    def __init__(self, broker: Broker, wake: Callable[[], None]) -> None:
        self._broker = broker
        self._wake = wake
        self._errand: Errand | None = None
        self._token: Any = None  # that the broker was told last
        self._began = 0.0
        self.deadline: float = NEVER  # of the handshake, while one goes on
        self.renew_at: float = NEVER

    def begin(self, now: float) -> None:
        """The transport is there: say what is said first."""
        self._began = now
        self.deadline = now + self._broker.settings.connect_timeout
        self._broker.due = min(self._broker.due, self.deadline)
        self._broker.write(self._broker.connection.opened())

    def renew(self, now: float) -> None:
        """Begin the next session. Raises as `go_on`."""
        self.renew_at = NEVER
        broker = self._broker
        if broker.connection.state is State.READY:
            log.debug("session_renewed", broker=broker.told_id, address=broker.address)
            answered_by = max((call.deadline for call in broker.calls), default=now)
            self.deadline = max(answered_by, broker.throttled_until) + broker.settings.connect_timeout
            self._go_on(broker.connection.renew())

    def go_on(self) -> None:
        """The connection has received something: do what the handshake wants now.

        Raises:
            AuthenticationFailed: the broker does not take us, or there is nothing that we could say.
        """
        self._go_on(self._broker.connection.take_handshake())

    def _go_on(self, buffers: list[Any]) -> None:
        broker = self._broker
        if buffers:
            broker.write(buffers)
        wish = broker.connection.wish
        if wish is not None and self._errand is None:
            from klife.actors.network.errand import Errand  # not before somebody has a wish

            self._errand = Errand(wish, broker.security, self._errand_done)
            if self._errand.is_token and broker.last_error is None:
                broker.last_error = "the token provider was asked, and has not answered yet"

    def _errand_done(self) -> None:
        self._broker.due = 0.0  # the looks of each wake-up are few: this is one of those when time is kept
        self._wake()

    @property
    def has_errand(self) -> bool:
        """Whether one is done."""
        return self._errand is not None and self._errand.is_done

    def take_errand(self) -> None:
        """Give the handshake what it waited for. Raises as `go_on`."""
        errand, self._errand = self._errand, None
        assert errand is not None
        if errand.failure is not None:
            raise AuthenticationFailed(errand.failure)
        if errand.is_token:
            self._token = errand.result
        self._go_on(self._broker.connection.done(errand.result))

    def settled(self, now: float) -> None:
        """The handshake is through."""
        broker = self._broker
        self.deadline = NEVER
        broker.last_error = None
        lifetime = broker.connection.session_lifetime_ms / 1000
        if lifetime > 0:
            self.renew_at = now + max(lifetime * random.uniform(*_RENEWED_AT), _LEAST_SECONDS)
            broker.due = min(broker.due, self.renew_at)

    def refused(self) -> None:
        """The broker does not take us: a token that it was told is used no more."""
        tokens = self._broker.security.tokens
        if tokens is not None and self._token is not None:
            tokens.refused(self._token)

    def awaited(self) -> str | None:
        """As `Connector.awaited`, of the first handshake."""
        waited = monotonic() - self._began
        if self._errand is not None or self._broker.connection.state is State.READY or waited < LONG_SECONDS:
            return None
        return f"the handshake is unanswered for {waited:.0f} s"

    def too_late(self) -> str:
        """What to say when the deadline has passed."""
        what = self._errand.is_late if self._errand is not None else "the handshake was not through"
        return f"{what} within {self._broker.settings.connect_timeout:g} s"

    def close(self) -> None:
        """The connection is gone."""
        self.deadline = self.renew_at = NEVER
        self._token = None
        if self._errand is not None:
            self._errand.drop()
            self._errand = None

    def disown(self) -> None:
        """In a forked child: begin nothing."""
        if self._errand is not None:
            self._errand.disown()
