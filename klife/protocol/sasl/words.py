"""The broker's own words, fit to be told: one short line, and no secret in it."""

from __future__ import annotations

from collections.abc import Iterable

_MOST = 500
_SECRET_FROM = 12  # characters; taking out shorter ones would hide words that mean something else, and tell by that


def quoted(words: str, secrets: Iterable[str] = ()) -> str:
    """`words` in quotes, without line ends and other control characters, shortened, and without `secrets`,
    which a broker that was told them might repeat.
    """
    for secret in secrets:
        if len(secret) >= _SECRET_FROM:
            words = words.replace(secret, "***")
    shown = "".join(char if char.isprintable() else " " for char in words[:_MOST]).strip()
    return f'"{shown}{"..." if len(words) > _MOST else ""}"'
