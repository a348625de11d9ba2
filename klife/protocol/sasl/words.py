"""What is told of a failed authentication: our words, and the broker's, fit to be shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from itertools import islice

from klife.protocol.errors import AuthenticationFailed

_MOST = 500  # characters
_SECRET_FROM = 12  # characters; to take out shorter ones would hide words that mean something else, and tell by that
_RUN = re.compile(rf"[A-Za-z0-9._~+/=-]{{{_SECRET_FROM},}}")  # a token, or the part of one that a broker shows
_HIDDEN = "***"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")  # RFC 4422 allows half of that
_MOST_NAMES = 20


def failed(mechanism: str, why: str, error_code: int | None = None, *, again: bool = False) -> AuthenticationFailed:
    """The error, whole; `why` ends with what to do."""
    what = "re-authentication" if again else "authentication"
    return AuthenticationFailed(f"{what} by SASL {mechanism} failed: {why}", mechanism=mechanism, error_code=error_code)


def not_right(mechanism: str, why: str) -> AuthenticationFailed:
    """The error of an answer that no honest broker gives."""
    return failed(mechanism, f"{why}; is this your broker, and does it run the mechanism as its standard says?")


def quoted(words: str, secrets: Iterable[str] = ()) -> str:
    """`words` of the broker's in quotes: shortened, without line ends and other control characters, and
    without `secrets` or a part of one, which a broker that was told them might repeat.
    """
    hidden = [secret for secret in secrets if len(secret) >= _SECRET_FROM]
    for secret in hidden:
        words = words.replace(secret, _HIDDEN)
    words = words[: 4 * _MOST]  # what is hidden makes room; what comes after it is not looked through
    for secret in hidden:
        words = _RUN.sub(partial(_without, secret), words)
    shown = "".join(char if char.isprintable() else " " for char in words[:_MOST]).strip()
    return f'"{shown}{"..." if len(words) > _MOST else ""}"'


def names(mechanisms: Iterable[str]) -> tuple[str, ...]:
    """What a broker offers, sorted: as many, and such names, as can be."""
    return tuple(sorted(name for name in islice(mechanisms, _MOST_NAMES) if _NAME.fullmatch(name)))


def _without(secret: str, run: re.Match[str]) -> str:
    return _HIDDEN if run[0].rstrip(".") in secret else run[0]
