"""`InFlight`: one request, from whoever asks to the wire and back with its response.

It is one object all the way. A connection notes in it what it was sent as, keeps it in the order of the wire
while the broker has not answered, and hands it back with the response. Whoever needs more of a request (a
deadline, whom to tell, what it carries) derives a class.
"""

from __future__ import annotations

from typing import Any


class InFlight:
    """A request that is sent once, and what came of it."""

    __slots__ = ("request", "correlation_id", "version", "response")

    def __init__(self, request: Any) -> None:
        self.request: Any = request
        self.correlation_id: int = -1  # this and the version: once it was sent
        self.version: int = -1
        self.response: Any = None
