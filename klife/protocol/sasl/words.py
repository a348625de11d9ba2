"""What is told of a failed authentication: our words, and the broker's, fit to be shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from klife.protocol.errors import AuthenticationFailed

_MOST = 500  # characters
_PARTS_FROM = 12  # characters; shorter ones are in words that mean something else
_STEP = 6
_WINDOW = _PARTS_FROM - _STEP + 1
_MOST_COMPARED = 100_000  # characters
_HIDDEN = "***"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")  # RFC 4422 allows half of that
_MOST_NAMES = 20
_SAID_TO_ALL = re.compile(  # the words of Kafka's own texts
    "authentication|failed|invalid|username|or|password|user|credentials|during|due|to|with|sasl|mechanism|token|client|is|not|"
    "a|the|for|of|in|and|by|error|unknown|expired|session|server|request|unexpected|type|kafka|scram|sha|plain|oauthbearer",
    re.IGNORECASE,
)


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
    words = words[: 4 * _MOST]  # what is hidden makes room; what comes after it is not looked through
    for secret in secrets:
        words = _without_word(secret, words) if len(secret) < _PARTS_FROM else _without_parts(secret, words)
    return f'"{one_line(words)}"'


def one_line(words: str) -> str:
    """`words` shortened, without line ends and other control characters."""
    shown = "".join(char if char.isprintable() else " " for char in words[:_MOST]).strip()
    return f"{shown}{'...' if len(words) > _MOST else ''}"


def names(mechanisms: Iterable[str]) -> tuple[str, ...]:
    """What a broker offers, sorted: as many, and such names, as can be."""
    return tuple(sorted(name for name in islice(mechanisms, _MOST_NAMES) if _NAME.fullmatch(name)))


def _without_word(secret: str, words: str) -> str:
    """`words` with `secret` hidden where it stands alone. Within a word it is another word's part, and to hide it
    would tell by that; so it would where brokers say the word to everybody.
    """
    if not secret or _SAID_TO_ALL.fullmatch(secret):
        return words
    before = r"(?<![^\W_])" if secret[0].isalnum() else ""
    behind = r"(?![^\W_])" if secret[-1].isalnum() else ""
    return re.sub(f"{before}{re.escape(secret)}{behind}", _HIDDEN, words)


def _without_parts(secret: str, words: str) -> str:
    """`words` with each part of `secret` hidden that is long enough to be one, whatever stands beside it.

    A token may have 256 KiB, and this runs in the hub. A part that is long enough has a window of the secret in
    it, of those that begin at each `_STEP`. So one quick pass finds these, and only from there on characters are
    compared.
    """
    places: dict[str, list[int]] = {}
    for place in range(len(words) - _WINDOW + 1):
        places.setdefault(words[place : place + _WINDOW], []).append(place)
    found = [at for at in range(0, len(secret) - _WINDOW + 1, _STEP) if secret[at : at + _WINDOW] in places]
    hidden: set[int] = set()
    looked_to: dict[int, int] = {}  # by the distance of secret and words: where that ended
    compared = 0
    for at in found:
        for place in places[secret[at : at + _WINDOW]]:
            compared += 1
            if place < looked_to.get(at - place, 0):
                continue
            begin, end = _in_common(secret, at, words, place)
            compared += end - begin
            looked_to[at - place] = end
            if end - begin >= _PARTS_FROM:
                hidden.update(range(begin, end))
        if compared > _MOST_COMPARED:  # a secret that repeats itself, and words that do
            return _HIDDEN
    if not hidden:
        return words
    return "".join(_HIDDEN * (at - 1 not in hidden) if at in hidden else char for at, char in enumerate(words))


def _in_common(secret: str, at: int, words: str, place: int) -> tuple[int, int]:
    """From where to where `words` are as `secret`, around the window that begins there in each."""
    before = 0
    while before < min(at, place) and secret[at - before - 1] == words[place - before - 1]:
        before += 1
    behind = _WINDOW
    while behind < min(len(secret) - at, len(words) - place) and secret[at + behind] == words[place + behind]:
        behind += 1
    return place - before, place + behind
