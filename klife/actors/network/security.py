"""`Security`: how the connections of a client are secured, and who it says that it is.

One for each client, because its connections share it: the TLS context, the SASL mechanism (which keeps what
took long to work out) and the token. What a client does not use it does not import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from klife.actors.settings import ConnectionSettings, SaslSettings
from klife_supervision.logs import Logger, get_logger

if TYPE_CHECKING:
    from klife.actors.network.tls_opening import Tls
    from klife.actors.network.tokens import Tokens

log: Logger = get_logger("klife.security")


class Security:
    """Made in the client's home thread, from its settings; `quiet` for another one's tools, who was warned."""

    def __init__(self, settings: ConnectionSettings, *, quiet: bool = False) -> None:
        sasl = settings.sasl
        self.tls: Tls | None = None
        if settings.tls is not None:
            from klife.actors.network.tls_opening import Tls

            self.tls = Tls(settings.tls, settings.connect_timeout, settings.principal if sasl is None else None)
        self.mechanism: Any = _mechanism(sasl) if sasl is not None else None
        self.tokens: Tokens | None = None
        if sasl is not None and sasl.token_provider is not None:
            from klife.actors.network.tokens import Tokens

            self.tokens = Tokens(sasl.token_provider, settings.connect_timeout, settings.principal)
        context = settings.tls.context if settings.tls is not None else None
        if context is not None and not context.verify_mode and not quiet:  # CERT_NONE, which is what SSLContext() has
            log.warning(
                "brokers_not_verified",
                hint="the SSLContext in tls verifies no certificate (CERT_NONE): whoever is on the way can pose as a broker; "
                "make it by ssl.create_default_context(cafile=...)",
            )
        if self.tls is None and self.mechanism is not None and self.mechanism.name == "PLAIN" and not quiet:
            log.warning(
                "password_sent_in_the_clear",
                hint="SASL PLAIN without TLS shows the password to whoever is on the way; set tls, or use SCRAM",
            )

    def close(self) -> None:
        """The client has ended: nothing is asked for any more."""
        if self.tokens is not None:
            self.tokens.close()

    def disown(self) -> None:
        """In a forked child, or without the hub that ran it: nothing is asked for any more."""
        if self.tokens is not None:
            self.tokens.disown()


def _mechanism(sasl: SaslSettings) -> Any:
    """The mechanism as an object. Here, and nowhere else, the password is unwrapped."""
    name = sasl.mechanism
    if not isinstance(name, str):
        from klife.actors.network.own_mechanism import OwnMechanism

        return OwnMechanism(name)
    username = sasl.username or ""
    password = sasl.password.get_secret_value() if sasl.password is not None else ""
    if name == "PLAIN":
        from klife.protocol.sasl.plain import Plain

        return Plain(username, password)
    if name == "OAUTHBEARER":
        from klife.protocol.sasl.oauthbearer import OAuthBearer

        return OAuthBearer()
    from klife.protocol.sasl.scram import Scram

    return Scram(name, username, password)
