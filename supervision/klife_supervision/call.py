"""A call to a supervisor: something for its loop to do, and the answer the caller waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import gevent
from gevent.event import AsyncResult

from klife_supervision.errors import CallTimeout, SupervisionError

Answer = TypeVar("Answer")

CALL_TIMEOUT = 60.0
"""Seconds a call may take unless the caller says otherwise; more than the start timeout of a worker."""


class Call(Generic[Answer]):
    """One call. The caller waits with `wait`; the loop runs it once with `run`, or ends it with `refuse`."""

    __slots__ = ("_answer", "_begun", "_what", "_withdrawn")

    def __init__(self, what: Callable[[], Answer]) -> None:
        self._what = what
        self._answer: Any = AsyncResult()
        self._begun = False
        self._withdrawn = False

    def wait(self, timeout: float | None) -> Answer:
        """The answer. Raises CallTimeout after `timeout` seconds (None waits without a limit), or what the call raised."""
        deadline = gevent.Timeout.start_new(timeout)
        try:
            answer: Answer = self._answer.get()
        except BaseException as error:
            self._withdrawn = True
            if error is not deadline:
                raise
            fate = "it is being carried out" if self._begun else "it was withdrawn"
            raise CallTimeout(
                f"the supervisor did not answer within {timeout:g} s; {fate} (is a start function, or a child's shutdown, slow?)"
            ) from None
        finally:
            deadline.close()
        return answer

    def run(self) -> None:
        """Do it, unless the caller has gone.

        An error other than a SupervisionError is a bug and goes on to the loop. A kill of the loop is not the caller's: `refuse`
        answers it.
        """
        if self._withdrawn:
            return
        self._begun = True
        try:
            self._answer.set(self._what())
        except SupervisionError as error:
            self._answer.set_exception(error)
        except Exception as error:
            self._answer.set_exception(error)
            raise

    def refuse(self, error: SupervisionError) -> None:
        """It will not be done, or not be finished."""
        if not self._answer.ready():
            self._answer.set_exception(error)
