"""The errors of the codec. They split the blame: `EncodeError` is ours, `DecodeError` is the peer's (or the
network's). `AuthenticationFailed` is nobody's fault yet: whoever reads its text knows.
"""

from __future__ import annotations

from typing import Any

from klife.errors import KlifeError


class DecodeError(KlifeError):
    """Bytes from a peer are not what the protocol says. Nothing else is ever raised for truncated or corrupt
    input.
    """


class EncodeError(KlifeError):
    """A message cannot be written: a field has the wrong type, is out of range, or does not exist in the
    version.
    """


class UnsupportedVersion(KlifeError):
    """Client and broker have no version of an API in common, or a message was asked for in a version it does
    not have.
    """


class TrailingBytes(DecodeError):
    """A message was complete before its bytes were; `message` is what was read."""

    def __init__(self, text: str, message: Any) -> None:
        super().__init__(text)
        self.message = message


class AuthenticationFailed(KlifeError):
    """The broker did not take who we are, or we did not take who it says it is. The text is whole, and for
    users: the mechanism, the user, the broker's own words, and what to do. It holds no secret.

    `mechanism` is SASL's name of it; `error_code` is Kafka's, or None where the broker gave none.
    """

    def __init__(self, text: str, *, mechanism: str | None = None, error_code: int | None = None) -> None:
        super().__init__(text)
        self.mechanism = mechanism
        self.error_code = error_code
