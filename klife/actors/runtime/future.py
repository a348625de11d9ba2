"""`GeventFuture`: the reply to an ask, and `WaitTimeout`, how every wait of the library ends when its time is
up.
"""

from __future__ import annotations

import queue
import sys
from types import TracebackType
from typing import Any, TypeVar

import pykka

from klife.actors.runtime.latch import Latch
from klife.errors import KlifeError

T = TypeVar("T")

_ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class WaitTimeout(KlifeError, TimeoutError, pykka.Timeout):
    """A wait ended before what it waited for. What it waited for goes on; waiting again is fine."""

    retriable = True


class GeventFuture(pykka.Future[T]):
    """A pykka future that parks greenlets instead of threads. Takes no constructor arguments: pykka's own
    code makes them bare.
    """

    def __init__(self) -> None:
        super().__init__()
        self._latch = Latch()
        self._value: Any = None
        self._error: BaseException | None = None

    def get(self, *, timeout: float | None = None) -> Any:
        """Return the value or raise the exception that was set.

        Raises:
            WaitTimeout: nothing was set within `timeout` seconds.
        """
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if not self._latch.is_set and not self._latch.wait(timeout):
            raise WaitTimeout(f"no reply within {timeout:g} s")
        if self._get_hook is not None:  # a hook set while we waited is the value
            return super().get(timeout=timeout)
        if self._error is not None:
            try:
                raise self._error
            finally:
                del self  # its error knows this frame
        return self._value

    def set(self, value: Any = None) -> None:
        """Set the value, once; `queue.Full` the second time, as pykka's own futures."""
        if self._latch.is_set:
            raise queue.Full
        self._value = value
        self._latch.set()

    def set_exception(self, exc_info: _ExcInfo | None = None) -> None:
        """Set an exception, by default the one being handled."""
        if self._latch.is_set:
            raise queue.Full
        error = (exc_info or sys.exc_info())[1]
        self._error = error if error is not None else RuntimeError("a future was given an exception that is None")
        self._latch.set()

    @property
    def is_set(self) -> bool:
        """Whether there is a value or an exception, or nobody wants one any more."""
        return self._latch.is_set

    def withdraw(self, error: Exception | None = None) -> None:
        """Nobody waits for the value any more, or is to: who still does gets `error`. Does nothing where it
        is set.
        """
        if not self._latch.is_set:
            self._error = error or WaitTimeout("the question was withdrawn")
            self._latch.set()

    def set_get_hook(self, func: Any) -> None:
        """Compute the value when asked for it (`map`, `filter`, `join` and pykka's `stop` use this)."""
        if self._latch.is_set:
            raise queue.Full
        super().set_get_hook(func)
        self._latch.set()
