"""`Call`: a request to a broker that has a deadline, and somebody who is told of its outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from klife.actors.settings import NEVER
from klife.errors import KlifeError
from klife.protocol.in_flight import InFlight


class CallFailed(KlifeError):
    """A request has no answer. `sent` tells whether the broker may have seen it."""

    retriable = True

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Call(InFlight):
    """One request and, once it `is_done`, its response or its error. Neither: it is one that no broker
    answers (acks 0).
    """

    __slots__ = ("deadline", "sent_at", "is_done", "error", "on_done")

    def __init__(self, request: Any, on_done: Callable[[Call], None] | None = None) -> None:
        # As InFlight's: one call less for each request.
        self.request = request
        self.correlation_id = self.version = -1
        self.response: Any = None
        self.sent_at: float = 0.0  # monotonic seconds, as `deadline`; both are set when it is sent
        self.deadline: float = NEVER
        self.is_done: bool = False
        self.error: KlifeError | None = None
        self.on_done = on_done

    def finish(self, error: KlifeError | None = None) -> None:
        """What was to come of it is there: `response`, or this error. Whoever waits is told by the first call
        of this and no other.
        """
        if self.is_done:
            return
        self.is_done = True
        if error is not None:
            self.response = None
            self.error = error
        self.tell()

    def tell(self) -> None:
        """Tell whoever waits. In whatever greenlet learns of the outcome: no more than take a note and wake
        someone.
        """
        on_done, self.on_done = self.on_done, None  # else most calls, known to those they tell, are garbage in a circle
        if on_done is not None:
            on_done(self)
