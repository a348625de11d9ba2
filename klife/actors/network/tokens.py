"""`Tokens`: the client's token, asked of the user's provider once for all brokers.

A provider is the user's code: it may take seconds, raise, or never return. So it is called in a thread of its
own, one call at a time for whoever wants a token, and again before the token ends, also where no
connection wants it just then: a session that is renewed must not wait for it. A failure is told to those who
wait, and the provider is asked again after a backoff, however often connections try meanwhile. A call that
does not return is given up after the patience of a handshake, and another is made after a pause. Each of
these keeps a thread, so there are few, and pauses that grow: what hung may be well by then.
One that returns late is as good as any.

No actor: all there is, is a value and what is due. Whoever wants a token does what is due, and a timer does
so where nobody wants one; a timer that was lost costs a wait, and no token.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event

from klife.actors.network.backoff import backoff
from klife.actors.principal import Principal
from klife.actors.runtime.forked import is_forked
from klife.actors.runtime.latch import never_waits
from klife.actors.runtime.own_threads import OwnThreads
from klife.actors.settings import NEVER
from klife.protocol.sasl.token import Token, token_from
from klife.protocol.sasl.words import one_line
from klife_supervision.logs import Logger, fields_here, get_logger

log: Logger = get_logger("klife.security")

_RENEWED_AT = 0.8  # of its life, and up to a twentieth later: sessions are renewed from 0.85 on
_SHARED_FOR = 60.0  # seconds that a token is good for whose end nobody knows
_MOST_LOST = 4  # calls that do not return
_LOST_PAUSE = 5.0  # of the patience, after the first of them; and so many times longer after each
_LEAST_PAUSE = 1.0  # seconds between two calls
_LONGEST_PAUSE = 30.0
_WAIT_WITH_TOKEN = 1.0  # seconds that who could do with the old one waits for the new one


class TokenFailed(Exception):
    """There is no token; the text is for users."""


class Tokens:
    """Of one client, for its home thread. A call of `provider` counts as lost after `patience` seconds.
    `principal` is found in its tokens.
    """

    def __init__(self, provider: Callable[[], Any], patience: float, principal: Principal) -> None:
        self._provider = provider
        self._principal = principal
        self._patience = patience
        self._token: Token | None = None
        self._trouble: str | None = None  # of the last call
        self._failures = 0
        self._due = 0.0  # when the provider is to be asked, in seconds since 1970, as tokens end
        self._asked_at = -NEVER  # the same
        self._calls: dict[Any, float] = {}  # those that have not returned, and when they began
        self._threads = OwnThreads(_MOST_LOST)
        self._lost: set[Any] = set()  # those of them that took too long
        self._news = Event()
        self._timer: Any = None
        self._closed = False
        self._log_fields = fields_here.get()

    def current(self) -> Token:
        """The token of now, waiting for it. In a greenlet that may be killed.

        Raises:
            TokenFailed: the provider failed, and is asked again later.
        """
        patience_for_new = _WAIT_WITH_TOKEN
        while True:
            self._do_what_is_due()
            now = time.time()
            token = self._token
            good = token is not None and (token.expires_at is None or now < token.expires_at)
            if token is not None and good and (now < self._due or not self._is_asking or patience_for_new <= 0):
                return token
            if not self._is_asking:
                raise TokenFailed(self._trouble or "there is no token, and the client has ended")
            if good:
                self._news.wait(patience_for_new)
                patience_for_new = 0.0
            else:
                self._news.wait()

    @property
    def _is_asking(self) -> bool:
        """Whether the provider was asked, and may still answer in time."""
        return len(self._calls) > len(self._lost)

    def refused(self, token: Token) -> None:
        """A broker did not take `token`, whatever its end was said to be: ask for another one."""
        if token is self._token:
            self._ask_at(max(time.time(), self._asked_at + _LEAST_PAUSE))

    def close(self) -> None:
        """The client has ended: ask for nothing any more."""
        calls, timer = list(self._calls), self._timer
        self.disown()
        for greenlet in [*calls, timer]:
            if greenlet is not None:
                greenlet.kill(block=False)
        self._threads.close()

    def disown(self) -> None:
        """In a forked child, or without the hub that ran it: the same, and its greenlets are left alone."""
        self._closed = True
        self._calls, self._lost, self._timer = {}, set(), None

    def _do_what_is_due(self) -> None:
        now = time.time()
        if self._closed or is_forked():
            return
        for call, began in self._calls.items():
            if call not in self._lost and now >= began + self._patience:
                self._lost.add(call)
                self._has_lost_one()
        if self._asked_at <= now < self._due:  # a clock that was set back would have us wait so long
            return
        if self._is_asking or len(self._lost) >= _MOST_LOST:
            return
        self._asked_at = now
        greenlet = gevent.Greenlet(self._call)
        never_waits(greenlet)
        self._calls[greenlet] = now
        greenlet.rawlink(self._ended)
        greenlet.start()
        self._look_at(now + self._patience)

    def _call(self) -> None:
        fields_here.set(self._log_fields)
        try:
            answer = self._threads.call(self._answer)
        except Exception as error:  # noqa: BLE001 - no thread: told, and tried again
            answer = _told(error)
        if isinstance(answer, Token):
            self._got(answer)
        else:
            self._failed(f"token provider failed: {answer}")

    def _answer(self) -> Token | str:
        """In a thread: a token, or why there is none. The provider is the user's code: whatever it raises is
        told, and no reason to end, a timeout of gevent's or an exit too.
        """
        try:
            return token_from(self._provider(), time.time())
        except BaseException as error:  # noqa: BLE001
            return _told(error)

    def _ended(self, greenlet: Any) -> None:
        """A call has returned, or was killed."""
        self._calls.pop(greenlet, None)
        self._lost.discard(greenlet)
        self._tell_news()

    def _tell_news(self) -> None:
        news, self._news = self._news, Event()
        news.set()

    def _has_lost_one(self) -> None:
        lost = len(self._lost)
        self._trouble = f"the token provider has not answered within {self._patience:g} s"
        if lost >= _MOST_LOST:
            self._trouble += (
                f", {lost} times, and each keeps a thread: it is not asked again before one of these calls returns; "
                "give what it asks a timeout"
            )
        before = fields_here.set(self._log_fields)
        log.warning("token_provider_failed", reason=self._trouble, attempt=self._failures + lost)
        fields_here.reset(before)
        self._ask_at(time.time() + self._patience * _LOST_PAUSE ** (lost - 1))
        self._tell_news()

    def _got(self, token: Token) -> None:
        if self._closed:
            return
        now = time.time()
        self._token, self._trouble, self._failures = token, None, 0
        if token.subject is not None:
            self._principal.found(token.subject, "the sub of its token")
        life = token.expires_at - now if token.expires_at is not None else _SHARED_FOR
        self._due = now + life * (_RENEWED_AT + 0.05 * random.random())
        if token.expires_at is not None:
            self._ask_at(self._due)

    def _failed(self, trouble: str) -> None:
        if self._closed:
            return
        self._trouble = trouble
        self._failures += 1
        log.warning("token_provider_failed", reason=trouble, attempt=self._failures)
        self._ask_at(time.time() + backoff(self._failures, _LEAST_PAUSE, _LONGEST_PAUSE, random.random()))

    def _ask_at(self, due: float) -> None:
        """Ask at `due`, whether or not anybody wants a token then."""
        self._due = due
        self._look_at(due)

    def _look_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.kill(block=False)
        self._timer = gevent.spawn_later(max(due - time.time(), 0.0) + 0.001, self._do_what_is_due)


def _told(error: BaseException) -> str:
    """An error as one short line."""
    try:
        words = f"{error}"
    except Exception:  # noqa: BLE001 - its class is the user's, too
        words = "it has no text"
    return f"{type(error).__name__}: {one_line(words)}"
