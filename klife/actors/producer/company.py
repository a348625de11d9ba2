"""`Company`: whether a request gains anything by waiting until the loop is idle.

Where many greenlets wait for their records, it does: the answers and sockets that are ready wake those whose next
records belong to the same request. Where records come one by one, all it brings is one more iteration of the
loop. So now and then a request leaves as soon as the greenlets that are ready have run, and what comes until the
loop is idle, and would have been in it, says which it is.
"""

from __future__ import annotations

_TRIED_EVERY = 64  # requests, while there is company: what is tried costs a request of its own
_LOOKED_EVERY = 16  # requests, while there is none: to look costs an iteration of the loop
_FIRST = 16


class Company:
    """Of one batcher."""

    __slots__ = ("none", "_left", "_opened")

    def __init__(self) -> None:
        self.none = False  # requests need not wait
        self._left = _FIRST  # requests until it is looked at again
        self._opened = -1  # batches when the request left that is looked at; -1: none is

    def sent(self, opened: int) -> bool:
        """A request has left, by when so many batches were `opened`. Whether to say so when the loop is idle."""
        self._left -= 1
        if self._left > 0:
            return False
        self._left = 1
        if not self.none:
            self.none = True  # as far as the next request goes
            return False
        self._opened = opened
        return True

    def loop_is_idle(self, opened: int) -> None:
        """It is, and so many batches are `opened` by now."""
        if self._opened >= 0:
            self.none = opened == self._opened
            self._opened = -1
            self._left = _LOOKED_EVERY if self.none else _TRIED_EVERY
