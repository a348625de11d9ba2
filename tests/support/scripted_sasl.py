"""Whom scripted brokers take: SASL PLAIN, SCRAM and OAUTHBEARER as a broker does them, with sessions that end
(KIP-368).

A connection that has not authenticated, whose session has ended, or that says something else in the middle of
a renewal, is closed, as Kafka does; the last is noted in `broken`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from klife.protocol.apis.api_versions import ApiVersionsRequest
from klife.protocol.apis.sasl_authenticate import SaslAuthenticateRequest, SaslAuthenticateResponse
from klife.protocol.apis.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse

REFUSED = 58
_SALT = b"salt of the scripted brokers"


@dataclass
class _Session:
    """One connection."""

    mechanism: str | None = None
    is_authenticating: bool = False
    authenticated_at: float = 0.0
    said: list[bytes] = field(default_factory=list)


class ScriptedSasl:
    """`users` and their passwords, and `tokens`; sessions last `lifetime_ms` (0: for ever)."""

    def __init__(
        self,
        mechanisms: tuple[str, ...] = ("PLAIN",),
        *,
        users: dict[str, str] | None = None,
        tokens: set[str] | None = None,
        lifetime_ms: int = 0,
        iterations: int = 4096,
        renewed_after: float = 1.0,  # seconds at least
    ) -> None:
        self.renewed_after = renewed_after
        self.mechanisms = mechanisms
        self.users = users if users is not None else {"klife": "klife-secret"}
        self.tokens = tokens if tokens is not None else set()
        self.lifetime_ms = lifetime_ms
        self.iterations = iterations
        self.broken: list[str] = []
        self.authentications: list[tuple[int, int, float]] = []  # broker, connection, when
        self._sessions: dict[tuple[int, int], _Session] = {}
        self._salted: dict[tuple[str, str], bytes] = {}  # worked out before anybody measures how long a client takes
        for mechanism in mechanisms:
            for user in self.users if mechanism.startswith("SCRAM") else ():
                self._salt(mechanism, user)

    def answers(self) -> dict[Any, Any]:
        """What brokers answer to the two requests."""
        return {SaslHandshakeRequest: self._handshake, SaslAuthenticateRequest: self._authenticate}

    def lets_pass(self, exchange: Any) -> bool:
        """Whether a broker goes on to answer a request."""
        session = self._session(exchange)
        if isinstance(exchange.request, (SaslHandshakeRequest, SaslAuthenticateRequest)):
            return True
        if session.is_authenticating:
            self.broken.append(f"{type(exchange.request).__name__} while it authenticates")
            return False
        if session.authenticated_at:
            return not self.lifetime_ms or monotonic() < session.authenticated_at + self.lifetime_ms / 1000
        return isinstance(exchange.request, ApiVersionsRequest)

    def _session(self, exchange: Any) -> _Session:
        return self._sessions.setdefault((exchange.broker.node_id, exchange.connection), _Session())

    def _handshake(self, exchange: Any) -> SaslHandshakeResponse:
        session, mechanism = self._session(exchange), exchange.request.mechanism
        if mechanism not in self.mechanisms:
            return SaslHandshakeResponse(error_code=33, mechanisms=list(self.mechanisms))
        if session.authenticated_at and monotonic() < session.authenticated_at + self.renewed_after:
            self.broken.append("authenticates again at once")
        session.mechanism, session.is_authenticating, session.said = mechanism, True, []
        return SaslHandshakeResponse(error_code=0, mechanisms=list(self.mechanisms))

    def _authenticate(self, exchange: Any) -> SaslAuthenticateResponse:
        session = self._session(exchange)
        session.said.append(bytes(exchange.request.auth_bytes))
        said = getattr(self, "_" + str(session.mechanism).split("-")[0].lower())(session)
        if said is None:
            words = f"Authentication failed: Invalid {'token' if session.mechanism == 'OAUTHBEARER' else 'username or password'}"
            return SaslAuthenticateResponse(error_code=REFUSED, error_message=words, auth_bytes=b"")
        challenge, is_through = said
        if is_through:
            session.is_authenticating, session.authenticated_at = False, monotonic()
            self.authentications.append((exchange.broker.node_id, exchange.connection, monotonic()))
        return SaslAuthenticateResponse(error_code=0, auth_bytes=challenge, session_lifetime_ms=self.lifetime_ms)

    def _plain(self, session: _Session) -> tuple[bytes, bool] | None:
        _, user, password = session.said[0].split(b"\0")
        return (b"", True) if self.users.get(user.decode()) == password.decode() else None

    def _oauthbearer(self, session: _Session) -> tuple[bytes, bool] | None:
        token = session.said[0].split(b"Bearer ")[1].split(b"\x01")[0].decode()
        return (b"", True) if token in self.tokens else None

    def _salt(self, mechanism: str, user: str) -> bytes:
        hashed, password = "sha" + mechanism.rsplit("-", 1)[1], self.users.get(user, "")
        if (mechanism, password) not in self._salted:
            self._salted[mechanism, password] = hashlib.pbkdf2_hmac(hashed, password.encode(), _SALT, self.iterations)
        return self._salted[mechanism, password]

    def _scram(self, session: _Session) -> tuple[bytes, bool] | None:
        hashed = "sha" + str(session.mechanism).rsplit("-", 1)[1]
        first = session.said[0].split(b",", 2)[2]
        user, nonce = first.split(b",")[0][2:].decode(), first.split(b",")[1][2:] + b"server"
        challenge = b"r=%s,s=%s,i=%d" % (nonce, base64.b64encode(_SALT), self.iterations)
        if len(session.said) == 1:
            return challenge, False
        final, proof = session.said[1].rsplit(b",p=", 1)
        salted = self._salt(str(session.mechanism), user)
        told = b",".join((first, challenge, final))
        key = hmac.digest(salted, b"Client Key", hashed)
        signature = hmac.digest(hashlib.new(hashed, key).digest(), told, hashed)
        if bytes(a ^ b for a, b in zip(key, signature, strict=True)) != base64.b64decode(proof):
            return None
        return b"v=" + base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", hashed), told, hashed)), True
