"""Tokens (OAUTHBEARER): what a provider returns, as a value, with when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Token:
    """A token, until `expires_at` (seconds since 1970; None: nobody said), with its SASL extensions."""

    value: str = field(repr=False)
    expires_at: float | None = None
    extensions: Mapping[str, str] = field(default_factory=dict, repr=False)


def token_from(answer: Any, now: float) -> Token:
    """What a provider returned: a token, or (token, expires at), or (token, expires at, extensions); times in
    seconds since 1970, as is `now`. Without an expiry a JWT's own counts.

    Raises:
        ValueError: it is none of these, or can not be sent, or has expired. The text has no part of it.
    """
    raise NotImplementedError
