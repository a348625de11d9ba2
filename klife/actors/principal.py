"""`Principal`: as whom the brokers know a client, for what is told of permissions that it lacks.

Kafka's default rules: the user of SASL; else the subject of the client's certificate; else ANONYMOUS. A
certificate is read, and a token had, after a client has its settings; so these are found later.
"""

from __future__ import annotations


class Principal:
    """Of one client. As text it is part of a sentence for users: "grant ... Write on the topic"."""

    def __init__(self, told: str = "the client's principal") -> None:
        """`told` until one is found: where to look for it, if it is not known."""
        self._told = told

    def found(self, name: str, where: str) -> None:
        """It is `name` by Kafka's default; brokers may have rules of their own, so `where` it is from is told,
        too.
        """
        self._told = f"User:{name} ({where})"

    def __str__(self) -> str:
        return self._told


def principal_of_user(username: str) -> Principal:
    """Who authenticates by user and password."""
    return Principal(f"User:{username}")


def principal_of_mechanism(name: str) -> Principal:
    """Of a mechanism of the user's own."""
    return Principal(f"whom SASL {name} authenticates")


def principal_of_token() -> Principal:
    """Found with the first token that has a `sub`."""
    return Principal("the principal of the client's token (the claim that the brokers' sasl.oauthbearer.sub.claim.name says)")


def principal_of_certificate(option: str) -> Principal:
    """Found when the file in `option` is read; what is in an SSLContext can not be looked at."""
    return Principal(f"the subject of the client's certificate ({option}; without one User:ANONYMOUS)")


def nobody() -> Principal:
    """Of a client with neither."""
    return Principal("User:ANONYMOUS (the client has no sasl and no certificate)")
