"""A call to a supervisor: something for its loop to do, and the answer the caller waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from klife_supervision.errors import CallTimeout, SupervisionError
from klife_supervision.latch import Latch
from klife_supervision.mailbox import HomeThread

Answer = TypeVar("Answer")

CALL_TIMEOUT = 60.0
"""Seconds a call may take unless the caller says otherwise; more than the start timeout of a worker."""


class Call(Generic[Answer]):
    """One call. The caller waits with `wait`; the loop runs it once with `run`, or ends it with `refuse`."""

    __slots__ = ("_answer", "_answered", "_begun", "_error", "_what", "_withdrawn")

    def __init__(self, what: Callable[[], Answer], home: HomeThread) -> None:
        self._what = what
        self._answered = Latch(home)
        self._answer: list[Answer] = []
        self._error: Exception | None = None
        self._begun = False
        self._withdrawn = False

    def wait(self, timeout: float | None) -> Answer:
        """The answer. Raises CallTimeout after `timeout` seconds (None waits without a limit), or what the
        call raised.
        """
        try:
            answered = self._answered.wait(timeout)
        except BaseException:
            self._withdrawn = True
            raise
        if not answered:
            self._withdrawn = True
            fate = "it is being carried out" if self._begun else "it was withdrawn"
            raise CallTimeout(
                f"the supervisor did not answer within {timeout:g} s; {fate} (is a start function, or a child's shutdown, slow?)"
            )
        if self._error is not None:
            raise self._error
        return self._answer[0]

    def run(self) -> None:
        """Do it, unless the caller has gone.

        An error other than a SupervisionError is a bug and goes on to the loop. A kill of the loop is not the
        caller's: `refuse` answers it.
        """
        if self._withdrawn:
            return
        self._begun = True
        try:
            self._answer.append(self._what())
        except SupervisionError as error:
            self._error = error
        except Exception as error:
            self._error = error
            self._answered.open()
            raise
        self._answered.open()

    def refuse(self, error: SupervisionError) -> None:
        """It will not be done, or not be finished."""
        if not self._answered.is_open():
            self._error = error
            self._answered.open()
