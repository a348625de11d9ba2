"""`OwnMechanism`: a SASL mechanism of the user's, run in the greenlet of a connection's actor.

An exit that it raises, or a timeout of gevent's, would end the actor, and an exit the program. It is a failed
authentication like whatever else a mechanism raises. Only a kill of the actor itself goes through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import GreenletExit

from klife.protocol.sasl.words import failed


class OwnMechanism:
    """`mechanism`, with all that it has."""

    def __init__(self, mechanism: Any) -> None:
        self._mechanism = mechanism

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mechanism, name)

    def exchange(self, host: str) -> _OwnExchange:
        name = self._mechanism.name
        return _OwnExchange(_guarded(name, self._mechanism.exchange, host), name)


class _OwnExchange:
    def __init__(self, exchange: Any, name: str) -> None:
        self._exchange = exchange
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)

    def start(self) -> Any:
        return _guarded(self._name, self._exchange.start)

    def answered(self, challenge: bytes) -> Any:
        return _guarded(self._name, self._exchange.answered, challenge)

    def done(self, result: Any) -> Any:
        return _guarded(self._name, self._exchange.done, result)


def _guarded(name: str, call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except (Exception, GreenletExit):
        raise
    except BaseException as error:  # noqa: BLE001
        kind = type(error).__name__
    raise failed(name, f"the mechanism failed with {kind}, which is a bug in it")
