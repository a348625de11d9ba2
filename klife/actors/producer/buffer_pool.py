"""`BufferPool`: how much of `max_buffered_bytes` is in use, and the queue of greenlets that wait for some of
it.

One pool serves all producers of a client. The fast paths are inlined: where records are appended, one
subtraction and one comparison against `room`; where a batch is delivered while nobody waits, one addition.
`room` is what may be taken without asking; while anyone waits it is held at 0, so that a newcomer queues up
behind those who came first instead of snatching what they wait for. Those who were given their bytes hold
nobody up, whether they have run yet or not: several greenlets in tight loops would otherwise all wait for
each record they produce.

While a greenlet runs a batch's callbacks it may exceed the limit by that batch's size, ahead of the queue.
Otherwise a callback that produces would wait for greenlets that wait for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from gevent import getcurrent

from klife.actors.runtime.latch import Latch
from klife.errors import BufferFull


class Claim(Latch):
    """`size` bytes that somebody wants, and has once they are `granted`: whose they are is noted at the
    moment they are taken.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.granted = False


class BufferPool:
    """Bytes that records may occupy. Used from one thread (the client's home)."""

    __slots__ = ("limit", "room", "block", "_free", "waiters", "_overdrafts", "on_pressure")

    def __init__(self, limit: int, *, block: bool) -> None:
        self.limit: int = limit
        self.room: int = limit
        self.block: bool = block
        self._free = 0  # the free bytes while `room` is held at 0 for those who wait
        self.waiters: deque[Claim] = deque()
        self._overdrafts: dict[Any, int] = {}  # by greenlet, what it may take beyond the limit
        self.on_pressure: Callable[[int], None] = lambda _by: None  # told when callers begin to wait (1), and when none does (-1)

    @property
    def used(self) -> int:
        """Bytes taken now; more than the limit where callbacks overdraw."""
        return self.limit - (self._free if self.waiters else self.room)

    @property
    def waiting(self) -> int:
        """Greenlets waiting for room now."""
        return len(self.waiters)

    def take(self, size: int, deadline: float, max_block: float, claim: Claim | None = None) -> None:
        """Take `size` bytes (of `claim`, where whoever wants them has to know at any moment), waiting for
        them in turn until `deadline` (monotonic seconds). What is raised means that they were not taken,
        unless the claim says so.

        Raises:
            BufferFull: at once with `on_buffer_full="raise"`, else when the deadline passes.
        """
        if claim is None:
            claim = Claim(size)
        me, timeout = getcurrent(), deadline - monotonic()
        # From each look to what follows from it there is no call: something that produces, too, might run in
        # it.
        if self.room >= size:
            self.room -= size
            claim.granted = True
            return
        if self._overdrafts.get(me, 0) >= size:
            self._overdrafts[me] -= size
            if self.waiters:
                self._free -= size
            else:
                self.room -= size
            claim.granted = True
            return
        if not self.block or timeout <= 0:
            raise self._full(size, max_block)
        first = not self.waiters
        if first:
            self._free, self.room = self.room, 0
        self.waiters.append(claim)
        try:
            if first:
                self.on_pressure(1)
            claim.wait(timeout)
        except BaseException:
            self._leave(claim)
            raise
        if not claim.granted:
            self._leave(claim)
            raise self._full(size, max_block)

    def allow_overdraft(self, size: int) -> None:
        """Let the calling greenlet take `size` bytes in all though they are not there; 0 ends that."""
        if size:
            self._overdrafts[getcurrent()] = size
        else:
            self._overdrafts.pop(getcurrent(), None)

    def give(self, size: int) -> None:
        """Return `size` bytes, and let those who wait have them, first come first served."""
        if not self.waiters:
            self.room += size
            return
        self._free += size
        self._grant()

    def give_back(self, owner: Any) -> None:
        """Return the bytes of `owner`, its `size`, once: it has none afterwards."""
        # No call until they are returned, in which a signal handler might raise.
        if not self.waiters:
            self.room += owner.size
            owner.size = 0
            return
        self._free += owner.size
        owner.size = 0
        self._grant()

    def _grant(self) -> None:
        waiters = self.waiters
        while waiters and (waiters[0].is_set or waiters[0].size <= self._free):
            waiter = waiters[0]
            if not waiter.is_set:  # else a signal handler's exception ended this before it had left the queue
                self._free -= waiter.size
                waiter.granted = True
                waiter.is_set = True
            waiter.set()
            if waiters and waiters[0] is waiter:
                waiters.popleft()
        if not waiters:
            self.room, self._free = self._free, 0
            self.on_pressure(-1)

    def _leave(self, waiter: Claim) -> None:
        """A waiter goes away empty-handed: out of the queue, or, if its bytes were granted meanwhile, by
        giving them back.
        """
        if waiter.granted:
            waiter.granted = False
            self.give(waiter.size)
        else:
            self.waiters.remove(waiter)
            self._grant()

    def _full(self, size: int, max_block: float) -> BufferFull:
        waited = (
            f"no room for {size} bytes came free within max_block_ms ({max_block * 1000:g} ms)"
            if self.block
            else (f"{size} more bytes do not fit, and on_buffer_full is 'raise'")
        )
        return BufferFull(
            f"{self.used} of max_buffered_bytes {self.limit} are waiting to be delivered, or for callbacks to begin; {waited}. "
            "The record was not queued. "
            "Produce slower, raise max_buffered_bytes, or see what holds them up: callbacks that wait, or what client.status() tells.",
            retriable=True,
        )
