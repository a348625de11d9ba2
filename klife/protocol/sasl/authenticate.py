"""Authentication as a step of a connection's handshake: SaslHandshake v1, then a mechanism's exchange in rounds
of SaslAuthenticate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from klife.protocol.api_keys import ApiKey
from klife.protocol.apis.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from klife.protocol.apis.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse
from klife.protocol.error_codes import ErrorCode, describe
from klife.protocol.errors import AuthenticationFailed, UnsupportedVersion
from klife.protocol.handshake import Compute, Question, Step, TokenWanted, Wish
from klife.protocol.sasl.mechanism import Mechanism, SaslExchange
from klife.protocol.sasl.words import failed, names, quoted
from klife.protocol.versions import negotiate
from klife.words import kind_of

_FRAMED = 1  # from this version of SaslHandshake on, what follows are Kafka's requests


def authenticating(mechanism: Mechanism, host: str) -> Step:
    """The step that authenticates by `mechanism` at the broker reached as `host`."""
    return partial(Authentication, mechanism, host)


class Authentication:
    """An `Exchange` of `klife.protocol.handshake`; `again` where it renews a session.

    Raises:
        AuthenticationFailed: the broker speaks no SASL that klife does.
    """

    def __init__(self, mechanism: Mechanism, host: str, ranges: Mapping[int, tuple[int, int]], again: bool) -> None:
        self.session_lifetime_ms: int = 0
        self._mechanism = mechanism
        self._host = host
        self._again = again
        self._exchange: SaslExchange | None = None
        self._was_taken = False  # anything that the mechanism said
        try:
            framed = negotiate(SaslHandshakeRequest, ranges) >= _FRAMED
            self._version = negotiate(SaslAuthenticateRequest, ranges) if framed else -1
        except UnsupportedVersion as error:
            raise self._failed(f"{error}") from None
        if not framed:
            raise self._failed("the broker authenticates as Kafka did before 1.0, which klife does not speak; upgrade the broker")

    def start(self) -> Wish:
        return Question(SaslHandshakeRequest(mechanism=self._mechanism.name), _FRAMED)

    def answered(self, response: SaslHandshakeResponse | SaslAuthenticateResponse) -> Wish | None:
        if isinstance(response, SaslHandshakeResponse):
            if response.error_code:
                raise self._not_taken(response)
            return self._ask(self._begin)
        if response.error_code:
            raise self._refused(response)
        self.session_lifetime_ms = max(0, response.session_lifetime_ms)
        self._was_taken = True
        assert self._exchange is not None
        return self._ask(partial(self._exchange.answered, response.auth_bytes))

    def done(self, result: Any) -> Wish | None:
        assert self._exchange is not None
        return self._ask(partial(self._exchange.done, result))

    def _begin(self) -> Any:
        self._exchange = self._mechanism.exchange(self._host)
        return self._exchange.start()

    def _ask(self, exchange: Callable[[], Any]) -> Wish | None:
        """What the exchange says now, which may be a user's own code."""
        try:
            says = exchange()
        except AuthenticationFailed as error:
            error.mechanism = error.mechanism or self._mechanism.name
            raise
        except Exception as error:
            raise self._failed(f"the mechanism failed with {type(error).__name__}, which is a bug in it") from error
        if says is None and not self._was_taken:  # else we would seem to be authenticated
            raise self._failed("the mechanism is through before it said anything, which is a bug in it")
        if says is None or isinstance(says, (Compute, TokenWanted)):
            return says
        if not isinstance(says, (bytes, bytearray)):
            raise self._failed(f"the mechanism said {kind_of(says)}, and not bytes, which is a bug in it")
        return Question(SaslAuthenticateRequest(auth_bytes=bytes(says)), self._version)

    def _not_taken(self, response: SaslHandshakeResponse) -> AuthenticationFailed:
        code, offered = response.error_code, ", ".join(names(response.mechanisms))
        if code == ErrorCode.ILLEGAL_SASL_STATE and self._again:
            why = "the broker renews a session once a second at most, and refused it now"
        elif code == ErrorCode.ILLEGAL_SASL_STATE and not offered:
            why = "this listener speaks no SASL; leave out sasl, or connect to the listener that wants it"
        elif code == ErrorCode.UNSUPPORTED_SASL_MECHANISM:
            why = "the broker does not offer it on this listener" + (f"; name one of those it offers: {offered}" if offered else "")
        else:
            why = f"the broker refused the mechanism: {describe(code)}"
        return self._failed(why, code)

    def _refused(self, response: SaslAuthenticateResponse) -> AuthenticationFailed:
        code = response.error_code
        words = response.error_message or str(getattr(self._exchange, "words", ""))
        told = quoted(words, getattr(self._exchange, "secrets", ())) if words else describe(code)
        if "change principals" in words:
            why = (
                f"the broker takes a connection's session for the same principal only: {told}; so the name in each new token must be "
                "the same (for Amazon's, set AWS_ROLE_SESSION_NAME)"
            )
        elif code == ErrorCode.SASL_AUTHENTICATION_FAILED:
            who = getattr(self._mechanism, "who", "us")
            advice = getattr(self._mechanism, "advice", "check the credentials")
            why = f"the broker refused {who}: {told}; {advice}"
        else:
            why = f"the broker answered {describe(code)}" + (f": {told}" if words else "")
        return self._failed(why, code)

    def _failed(self, why: str, code: int | None = None) -> AuthenticationFailed:
        return failed(self._mechanism.name, why, code, again=self._again)


class AskMechanisms:
    """Asks which mechanisms a listener offers, by naming one that does not exist. Both the step and its
    exchange; the connection is of no more use after it, although it says that it is READY.
    """

    session_lifetime_ms = 0

    def __init__(self) -> None:
        self.offered: tuple[str, ...] | None = None
        """None as long as nothing was answered, and where the broker knows no SASL at all; empty where the
        listener has none.
        """

    def __call__(self, ranges: Mapping[int, tuple[int, int]], again: bool) -> AskMechanisms:
        """Be the exchange for a broker that serves `ranges`."""
        self._version = ranges.get(ApiKey.SASL_HANDSHAKE, (0, 0))[1]
        return self

    def start(self) -> Question:
        return Question(SaslHandshakeRequest(mechanism="ASKED-BY-KLIFE"), min(self._version, SaslHandshakeRequest.MAX_VERSION))

    def answered(self, response: SaslHandshakeResponse) -> None:
        """These it offers."""
        self.offered = names(response.mechanisms)

    def done(self, result: Any) -> None:
        """Nothing was asked for."""
