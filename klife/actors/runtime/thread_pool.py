"""`call_in_thread`: work that would hold the hub, in its thread pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gevent import get_hub

T = TypeVar("T")


def call_in_thread(call: Callable[..., T], *arguments: Any) -> T:
    """What `call(*arguments)` returns or raises in a thread of the hub's pool, while other greenlets run.

    `threadpool.apply` raises it too, but its thread has printed a traceback before, whatever the caller makes
    of the error.
    """
    result: T = returned(get_hub().threadpool.apply(outcome_of, (call, arguments)))
    return result


def returned(outcome: tuple[Any, Exception | None]) -> Any:
    """What a call returned or raised, by its `outcome_of`."""
    result, error = outcome
    if error is None:
        return result
    try:
        raise error
    finally:
        del error, outcome  # they know this frame


def outcome_of(call: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    """What `call(*arguments)` returns, and what it raises."""
    try:
        return call(*arguments), None
    except Exception as error:  # noqa: BLE001 - the caller's to judge
        return None, error
    except BaseException as error:  # noqa: BLE001 - an exit or a timeout of gevent's: the thread's, and not the caller's
        return None, RuntimeError(f"{type(error).__name__} was raised in a thread")
