"""`call_in_thread`, `start_in_thread`: work that would hold the hub, in its thread pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from gevent import get_hub

T = TypeVar("T")


def call_in_thread(call: Callable[..., T], *arguments: Any) -> T:
    """What `call(*arguments)` returns or raises in a thread of the hub's pool, while other greenlets run.

    `threadpool.apply` raises it too, but its thread has printed a traceback before, whatever the caller makes
    of the error.
    """
    returned: T = _returned(get_hub().threadpool.apply(_outcome, (call, arguments)))
    return returned


def start_in_thread(call: Callable[..., T], *arguments: Any) -> Started[T]:
    """The same, without waiting for it; while the pool is full, for room in it."""
    return Started(get_hub().threadpool.spawn(_outcome, call, arguments))


class Started(Generic[T]):
    """A call in a thread of the pool."""

    __slots__ = ("_outcome",)

    def __init__(self, outcome: Any) -> None:
        self._outcome = outcome  # gevent's AsyncResult

    def wait(self) -> T:
        """What it returns or raises, while other greenlets run. Any number of greenlets may ask, one after the other."""
        returned: T = _returned(self._outcome.get())
        return returned


def _returned(outcome: tuple[Any, Exception | None]) -> Any:
    result, error = outcome
    if error is None:
        return result
    try:
        raise error
    finally:
        del error, outcome  # it knows this frame


def _outcome(call: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    try:
        return call(*arguments), None
    except Exception as error:  # noqa: BLE001 - the caller's to judge
        return None, error
    except BaseException as error:  # noqa: BLE001 - an exit or a timeout of gevent's: the thread's, and not the caller's
        return None, RuntimeError(f"{type(error).__name__} was raised in a thread")
