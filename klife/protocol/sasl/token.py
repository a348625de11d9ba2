"""Tokens (OAUTHBEARER): what a provider returns, as a value, with when it ends.

A token is for the brokers to verify. klife reads two things of a JWT: when it expires, if nobody else said, and
whose it is, for what is told of permissions.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from klife.words import kind_of

_MAX_CHARS = 256 * 1024  # brokers take 512 KiB (sasl.server.max.receive.size)
_MAX_SUBJECT = 200  # characters of one that is shown
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, b64token
_EXTENSION_NAME = re.compile(r"[A-Za-z]+")  # this and the next: RFC 7628, KIP-342
_EXTENSION_VALUE = re.compile(r"[ -~\t\r\n]+")
_RESERVED = "auth"
_MILLISECONDS_FROM = 1e11  # as seconds it is in the year 5138

_RETURNS = "return a token, or (token, expires_at), or (token, expires_at, extensions)"


@dataclass(frozen=True, slots=True)
class Token:
    """A token, until `expires_at` (seconds since 1970; None: nobody said), with its SASL extensions; `subject` is
    whose it says that it is.

    Raises:
        ValueError: it can not be sent. The text has no part of it.
    """

    value: str = field(repr=False)
    expires_at: float | None = None
    extensions: Mapping[str, str] = field(default_factory=dict, repr=False)
    subject: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if len(self.value) > _MAX_CHARS:
            raise ValueError(f"the token has {len(self.value)} characters; brokers take at most {_MAX_CHARS}")
        if not _TOKEN.fullmatch(self.value):
            raise ValueError(
                "the token is empty or holds a character that no bearer token has; white space around it, or 'Bearer ' before it, "
                "are the usual mistakes"
            )
        for name, value in self.extensions.items():
            if not isinstance(name, str) or not _EXTENSION_NAME.fullmatch(name) or name == _RESERVED:
                raise ValueError(f"a SASL extension's name has ASCII letters only, and is not {_RESERVED!r}")
            if not isinstance(value, str) or not _EXTENSION_VALUE.fullmatch(value):
                raise ValueError(f"the value of SASL extension {name!r} has to be printable ASCII, and not empty")
        if len(self.value) + sum(len(name) + len(value) + 2 for name, value in self.extensions.items()) > _MAX_CHARS:
            raise ValueError(f"the token and its SASL extensions have more than {_MAX_CHARS} characters")


def token_from(answer: Any, now: float) -> Token:
    """What a provider returned: a token, or (token, expires at), or (token, expires at, extensions); times in
    seconds since 1970, as is `now`. Without an expiry a JWT's own counts.

    Raises:
        ValueError: it is none of these, or can not be sent, or has expired. The text has no part of it.
    """
    value, expires_at, extensions = _parts(answer)
    if not isinstance(value, str):
        raise ValueError(f"the token is {kind_of(value)}; {_RETURNS}, a token being a str")
    if not isinstance(extensions, Mapping):
        raise ValueError(f"the extensions are {kind_of(extensions)}; they have to be a mapping of str to str")
    token = Token(value, _time(expires_at) if expires_at is not None else jwt_expiry(value), dict(extensions), jwt_subject(value))
    if token.expires_at is not None and token.expires_at <= now:
        raise ValueError(f"the token expired {now - token.expires_at:.0f} s ago; return one that is valid, and check the clocks")
    return token


def jwt_expiry(token: str) -> float | None:
    """When `token` expires, by what it says itself (`exp`), if it is a JWT that says so."""
    try:
        expiry = _claims(token).get("exp")
        return None if expiry is None else _time(expiry)
    except (ValueError, OverflowError):
        return None


def jwt_subject(token: str) -> str | None:
    """Whose token it is, by what it says itself (`sub`), if it is a JWT that says so."""
    subject = _claims(token).get("sub")
    return subject if isinstance(subject, str) and 0 < len(subject) <= _MAX_SUBJECT and subject.isprintable() else None


def _claims(token: str) -> dict[str, Any]:
    parts = token.split(".")
    if len(parts) != 3 or len(token) > _MAX_CHARS:
        return {}
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _parts(answer: Any) -> tuple[Any, Any, Any]:
    if not isinstance(answer, tuple):
        return answer, None, {}
    if not 1 <= len(answer) <= 3:
        raise ValueError(f"a tuple of {len(answer)} is no token; {_RETURNS}")
    value, expires_at, extensions = (*answer, None, None)[:3]
    return value, expires_at, {} if extensions is None else extensions


def _time(expires_at: Any) -> float:
    if isinstance(expires_at, bool) or not isinstance(expires_at, (int, float)):
        raise ValueError(f"the token's expiry is {kind_of(expires_at)}; it has to be a number, of seconds since 1970")
    if expires_at >= _MILLISECONDS_FROM:
        raise ValueError("the token's expiry is thousands of years away, so it is in milliseconds; divide it by 1000")
    if not isfinite(expires_at):
        raise ValueError("the token's expiry is no number of seconds")
    return float(expires_at)
