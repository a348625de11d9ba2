"""Looks through all that klife tells its log, of every level, for secrets: passwords, tokens and the secrets of
their providers, as they are unwrapped or made while it looks.

Debug events are looked at although nobody has asked for them: what is told is seen here, before it is written or
dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from pydantic import SecretStr

from klife.oidc import ClientCredentials
from klife.protocol.sasl.token import Token
from klife_supervision import logs

_LEAST = 6  # characters; shorter ones are in words


class ToldSecrets:
    """What was told since `forget`, and the secrets that there were."""

    def __init__(self) -> None:
        self.keeps = True  # events, to look through them
        self._told: list[str] = []
        self._secrets: set[str] = set()

    def tell(self, level: str, event: str, name: str, fields: dict[str, Any]) -> None:
        """Note an event, as text: who keeps objects changes how long they live."""
        if not self.keeps:
            return
        try:
            self._told.append(f"{level} {name} {event} {fields!r}")
        except Exception as error:
            self._told.append(f"{level} {name} {event} whose fields have no repr: {type(error).__name__}")

    def hide(self, *secrets: str) -> None:
        """These must not be told. A word is none: it would be found where it means something else."""
        self._secrets |= {secret for secret in secrets if len(secret) >= _LEAST and not secret.isalpha()}

    def found(self) -> list[str]:
        """The events that have a secret."""
        spelled = {form for secret in self._secrets for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1])}
        return [told for told in self._told if any(form in told for form in spelled)]

    def forget(self) -> None:
        """Begin anew."""
        self._told.clear()
        self._secrets.clear()


@contextmanager
def watching() -> Iterator[ToldSecrets]:
    """For the length of the block."""
    watch = ToldSecrets()
    tell, unwrap, check, basic = logs._tell, SecretStr.get_secret_value, Token.__post_init__, ClientCredentials._basic

    def told(level: str, event: str, name: str, fields: dict[str, Any]) -> None:
        watch.tell(level, event, name, fields)
        tell(level, event, name, fields)

    def unwrapped(secret: SecretStr) -> str:
        watch.hide(value := unwrap(secret))
        return value

    def made(token: Token) -> None:
        if isinstance(token.value, str):
            watch.hide(token.value)
        check(token)

    def sent(provider: ClientCredentials) -> str:
        watch.hide(provider._client_secret, encoded := basic(provider))
        return encoded

    with (
        mock.patch.object(logs, "_tell", told),
        mock.patch.object(SecretStr, "get_secret_value", unwrapped),
        mock.patch.object(Token, "__post_init__", made),
        mock.patch.object(ClientCredentials, "_basic", sent),
    ):
        yield watch
