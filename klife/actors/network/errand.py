"""`Errand`: what a handshake waits for besides the broker, in a greenlet of its own that may be dropped.

It is done in the thread pool, so that nothing that takes long holds the hub, or the connection's actor, up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from klife.actors.network.security import Security
from klife.actors.network.tokens import TokenFailed
from klife.actors.runtime.forked import is_forked
from klife.actors.runtime.latch import never_waits
from klife.actors.runtime.thread_pool import call_in_thread
from klife.protocol.handshake import Compute, TokenWanted


class Errand:
    """Does what `wish` says; calls `done` once it `is_done`, with a `result` or a `failure` in words."""

    def __init__(self, wish: Compute | TokenWanted, security: Security, done: Callable[[], None]) -> None:
        self.is_done: bool = False
        self.result: Any = None
        self.failure: str | None = None
        self.is_token: bool = isinstance(wish, TokenWanted)
        self.is_late: str = f"{wish.what} was not done" if isinstance(wish, Compute) else "the token provider has not answered"
        """What to say of it when the time is up."""
        self._may_run = True
        self._wish = wish
        self._security = security
        self._done = done
        self._greenlet = gevent.Greenlet(self._run)
        never_waits(self._greenlet)
        self._greenlet.start()

    def drop(self) -> None:
        """What comes of it is not wanted any more."""
        self._greenlet.kill(block=False)

    def disown(self) -> None:
        """In a forked child: do not begin."""
        self._may_run = False

    def _run(self) -> None:
        if not self._may_run or is_forked():
            return
        try:
            if isinstance(self._wish, Compute):
                self.result = call_in_thread(self._wish.run)
            elif self._security.tokens is None:
                self.failure = "the mechanism wants a token, and there is no token_provider: set it"
            else:
                self.result = self._security.tokens.current()
        except TokenFailed as error:
            self.failure = str(error)
        except Exception as error:  # noqa: BLE001 - a mechanism may be the user's; what it raises may hold a secret
            self.failure = f"{self._wish.what if isinstance(self._wish, Compute) else 'a token'} failed with {type(error).__name__}"
        self.is_done = True
        self._done()
