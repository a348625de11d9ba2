"""What a SASL mechanism is: klife's own, and one that a user brings along (`mechanism=` takes the object).

    class Kerberos:
        name = "GSSAPI"

        def exchange(self, host):
            return KerberosExchange(host)

A mechanism lives as long as its client, and serves all of its connections; an exchange is made anew for each
authentication. Neither may wait, read a file or talk to anybody: an exchange runs in a greenlet that serves a
connection. What takes longer than a millisecond it asks for, by a `Compute`, whose function runs in a thread;
what that raises ends the attempt, as what the exchange itself raises does.

An exchange that can not go on raises `AuthenticationFailed`, with a text for users and no secret in it. Of
any other exception only the type is told.
"""

from __future__ import annotations

from typing import Any, Protocol

from klife.protocol.handshake import Compute, TokenWanted

__all__ = ["Compute", "Mechanism", "SaslExchange", "Says", "TokenWanted"]

Says = bytes | Compute | TokenWanted
"""What an exchange says next (bytes for the broker, empty ones too), or has to know before it can."""


class SaslExchange(Protocol):
    """One authentication.

    It may have `secrets`, a sequence of str: they are taken out of what the broker says before that is told
    to anybody; and `words`, a str: what the broker said in a challenge of why it refuses.
    """

    def start(self) -> Says:
        """What the client says first."""

    def answered(self, challenge: bytes) -> Says | None:
        """What the broker answered to it; what is said next, or None if the exchange is through.

        The broker took what was said last: if it refuses, the exchange is not asked again.
        """

    def done(self, result: Any) -> Says | None:
        """What a `Compute` returned, or the `Token` that was wanted; else as `answered`."""


class Mechanism(Protocol):
    """A way to authenticate.

    It may also have `who`, as which it authenticates ("user 'shop'"), and `advice`, what to look at when the
    broker refuses; they become part of the error.
    """

    name: str
    """As registered with IANA, or what the brokers list in sasl.enabled.mechanisms."""

    def exchange(self, host: str) -> SaslExchange:
        """Begin to authenticate at the broker that is reached by the name (or IP address) `host`."""
