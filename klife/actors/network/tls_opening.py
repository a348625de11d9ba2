"""`Tls`: how the connections of a client come to speak TLS.

After the socket is connected, in the connector's greenlet and within its deadline: the handshake, and where
that fails for the broker's certificate, a second look at it (`tls_trouble`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

import gevent

from klife.actors.network.tls_context import TlsContexts
from klife.actors.network.transport import NoTransport, PlainTransport, Transport
from klife.actors.principal import Principal
from klife.actors.runtime.hub_pause import WORTH_TELLING
from klife.actors.runtime.thread_pool import call_in_thread
from klife.actors.settings import TlsSettings

_LOOK_SECONDS = 3.0  # for the second look; who waits for the reason is told within five


class Tls:
    """Of one client."""

    def __init__(self, settings: TlsSettings, timeout: float, principal: Principal | None) -> None:
        """`timeout` is that of a whole connection, which the deadlines of its parts come from. `principal` is
        that of the client, if its certificate says it.
        """
        self.settings = settings
        self._timeout = timeout
        self._contexts = TlsContexts(settings, principal)

    def secured(
        self,
        sock: Any,
        host: str,
        began: float,
        may_go_on: Callable[[], bool],
        connect_again: Callable[[], Any],
        *,
        timeout: float | None = None,
    ) -> Transport:
        """A transport over `sock`, connected to `host` and taken over; `connect_again` makes another such
        socket. In a greenlet that may be killed. `timeout` is another one than that of a whole connection.

        Raises:
            NoTransport: there is no TLS on it so many seconds after it `began` (monotonic); why, in words for
                users.
        """
        from klife.actors.network.tls import TlsHandshake, TlsTransport
        from klife.actors.network.tls_trouble import in_handshake, second_look_explains

        seconds = self._timeout if timeout is None else timeout
        context = self._within(seconds, began, "the files of tls were not read", self._context)
        handshake = TlsHandshake(context, host)
        try:
            self._within(seconds, began, "the TLS handshake was not through", lambda: handshake.run(sock, may_go_on))
        except NoTransport:
            raise
        except OSError as error:
            sock.close()
            certificate = self._second_look(context, host, may_go_on, connect_again) if second_look_explains(error) else None
            raise NoTransport(in_handshake(error, self.settings, host, certificate)) from None
        return TlsTransport(PlainTransport(sock), handshake, self.settings)

    def _context(self) -> Any:
        try:
            return self._contexts.current()
        except ValueError as error:
            raise NoTransport(str(error)) from None

    @staticmethod
    def _within(seconds: float, began: float, what: str, act: Callable[[], Any]) -> Any:
        """What `act` returns, which goes on where it was when it is called again."""
        while True:
            deadline = began + seconds
            with gevent.Timeout(max(deadline - monotonic(), 0.0), False):
                return act()
            if monotonic() < deadline + WORTH_TELLING:
                raise NoTransport(f"{what} within {seconds:g} s")
            began = monotonic()  # the hub did not run, and what was missing may be there

    def _second_look(
        self, context: Any, host: str, may_go_on: Callable[[], bool], connect_again: Callable[[], Any]
    ) -> Mapping[str, Any] | None:
        """The broker's certificate, if it is signed by an authority that `context` trusts."""
        from klife.actors.network.tls import TlsHandshake
        from klife.actors.network.tls_trouble import looking_context

        sock: Any = None
        try:
            with gevent.Timeout(_LOOK_SECONDS, False):
                looking = TlsHandshake(call_in_thread(looking_context, context), host)
                sock = connect_again()
                looking.run(sock, may_go_on)
                return looking.tls.getpeercert()
        except (OSError, ValueError):
            pass
        finally:
            if sock is not None:
                sock.close()
        return None
