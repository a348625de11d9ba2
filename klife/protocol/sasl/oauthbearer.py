"""OAUTHBEARER (RFC 7628), with Kafka's SASL extensions (KIP-342)."""

from __future__ import annotations

from klife.protocol.handshake import TokenWanted
from klife.protocol.sasl.token import Token
from klife.protocol.sasl.words import failed, quoted

_END = "\x01"  # of a field, and of the message
_GO_ON = b"\x01"  # what a client that was refused has to say before it is told so


class OAuthBearer:
    """Authenticates by a token, asked for anew each time."""

    name = "OAUTHBEARER"
    who = "the token"
    advice = "check that it has not expired, and its issuer, audience and scope against the broker's settings"

    def exchange(self, host: str) -> OAuthBearerExchange:
        return OAuthBearerExchange()


class OAuthBearerExchange:
    """Says the token. A broker that refuses it says why in a challenge, wants to hear that we heard it, and
    only then ends the exchange.
    """

    def __init__(self) -> None:
        self.secrets: tuple[str, ...] = ()
        self.words: str = ""

    def start(self) -> TokenWanted:
        return TokenWanted()

    def done(self, result: Token) -> bytes:
        self.secrets = (result.value, *result.extensions.values())
        fields = [f"auth=Bearer {result.value}", *(f"{name}={value}" for name, value in result.extensions.items())]
        return ("n,," + _END + "".join(field + _END for field in fields) + _END).encode()

    def answered(self, challenge: bytes) -> bytes | None:
        if self.words:  # it should have ended the exchange
            raise failed(OAuthBearer.name, f"the broker refused the token: {quoted(self.words, self.secrets)}; {OAuthBearer.advice}")
        if not challenge:
            return None
        self.words = challenge.decode(errors="replace")
        return _GO_ON
