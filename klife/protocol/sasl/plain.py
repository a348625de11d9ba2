"""PLAIN (RFC 4616): user and password as they are. Only TLS keeps them from whoever listens."""

from __future__ import annotations

from typing import Any

from klife.protocol.sasl.credentials import utf8


class Plain:
    """Authenticates by user and password.

    Raises:
        ValueError: one of them is empty, or can not be sent.
    """

    name = "PLAIN"
    advice = "check username and password"

    def __init__(self, username: str, password: str) -> None:
        self.who: str = f"user {username!r}"
        self._message = b"\0" + utf8(username, "username") + b"\0" + utf8(password, "password")
        self._password = password

    def exchange(self, host: str) -> PlainExchange:
        return PlainExchange(self._message, self._password)


class PlainExchange:
    """Says it all at once."""

    def __init__(self, message: bytes, password: str) -> None:
        self.secrets: tuple[str, ...] = (password,)
        self._message = message

    def start(self) -> bytes:
        return self._message

    def answered(self, challenge: bytes) -> None:
        """The broker took it; there is nothing that it could ask."""

    def done(self, result: Any) -> None:
        """Nothing was asked for."""
