"""What is told of a failed authentication: our words, and the broker's, fit to be shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from klife.protocol.errors import AuthenticationFailed

_MOST = 500  # characters
_SECRET_FROM = 12  # characters; to take out shorter ones would hide words that mean something else, and tell by that
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
        words = _without_parts(secret, words)
    return f'"{one_line(words)}"'


def one_line(words: str) -> str:
    """`words` shortened, without line ends and other control characters."""
    shown = "".join(char if char.isprintable() else " " for char in words[:_MOST]).strip()
    return f"{shown}{'...' if len(words) > _MOST else ''}"


def names(mechanisms: Iterable[str]) -> tuple[str, ...]:
    """What a broker offers, sorted: as many, and such names, as can be."""
    return tuple(sorted(name for name in islice(mechanisms, _MOST_NAMES) if _NAME.fullmatch(name)))


def _without_parts(secret: str, words: str) -> str:
    """`words` with each part of `secret` hidden that is long enough to be one, whatever stands beside it."""
    size = _SECRET_FROM
    places: dict[str, list[int]] = {}
    for at in range(len(words) - size + 1):
        places.setdefault(words[at : at + size], []).append(at)
    # One pass over the secret, instead of a search in it for each place in the words.
    parts = {secret[at : at + size] for at in range(len(secret) - size + 1) if secret[at : at + size] in places}
    if not parts:
        return words
    hidden = {at + offset for part in parts for at in places[part] for offset in range(size)}
    return "".join(_HIDDEN * (at - 1 not in hidden) if at in hidden else char for at, char in enumerate(words))
