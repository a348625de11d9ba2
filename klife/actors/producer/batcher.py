"""`Batcher`: the partitions of one broker that one batcher serves, and which of them have something to send.

A plain value between the callers, who put partitions on it, and the batcher, who drains it. Work is proportional to the partitions
that have records now, never to those that exist: a partition is on the ready list only while it has something, and one that lingers
or backs off waits in a heap by its time. One that waits for an answer is on neither; the answer puts it back.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from itertools import chain
from typing import TYPE_CHECKING, Any

from klife.actors.producer.batch import Batch

if TYPE_CHECKING:
    from klife.actors.network.broker import Broker
    from klife.actors.producer.partition import Partition
    from klife.actors.producer.producer import Producer
    from klife.actors.runtime.inbox import Inbox

_NEVER = float("inf")
_WORTH_A_REQUEST = 65_536  # bytes; the cost of sending so many is that of the bytes, not of the request


class Batcher:
    """State of the batcher `index` of broker `node_id`."""

    __slots__ = (
        "producer",
        "node_id",
        "index",
        "broker",
        "ready",
        "calls",
        "completed",
        "inbox",
        "max_in_flight",
        "has_actor",
        "wake_at",
        "_later",
        "_ticket",
    )

    def __init__(self, producer: Producer, node_id: int, index: int, broker: Broker) -> None:
        self.producer = producer
        self.node_id = node_id
        self.index = index
        self.max_in_flight = producer.settings.max_in_flight
        self.broker = broker
        self.ready: deque[Partition] = deque()
        self.calls: set[Any] = set()  # produce requests without an answer
        self.completed: deque[Any] = deque()  # answered ones the batcher has not looked at yet
        self.inbox: Inbox | None = None  # the batcher's, while it lives; a new one looks at everything when it starts
        self.has_actor = False  # whether its supervisor was told to run one
        self.wake_at = _NEVER  # when the batcher wakes by itself
        self._later: list[tuple[float, int, Partition]] = []
        self._ticket = 0  # makes heap entries of the same time comparable

    @property
    def is_cut_off(self) -> bool:
        """Whether records wait for a broker that could not be reached."""
        if self.broker.last_error is None or self.broker.is_ready:
            return False
        later = (queue for _, _, queue in self._later)
        return any(queue.batcher is self and not queue.empty for queue in chain(list(self.ready), later))

    def wake(self) -> None:
        """Have the batcher look, after the greenlets that are ready now."""
        if self.inbox is not None:
            self.inbox.wake()

    def batch_opened(self, queue: Partition, batch: Batch) -> None:
        """`queue` has a new batch: it may leave now, or after its linger."""
        linger = self.producer.linger
        if linger and not queue.pending:
            self._offer_at(queue, batch.created + linger)
            return
        if not queue.listed:
            queue.listed = True
            self.ready.append(queue)
        inbox = self.inbox
        if inbox is not None and not inbox.gathering and len(self.calls) < self.max_in_flight:
            inbox.wake_when_idle()

    def offer(self, queue: Partition) -> None:
        """`queue` may have something to send."""
        if not queue.listed:
            queue.listed = True
            self.ready.append(queue)
        if len(self.calls) < self.max_in_flight:  # else the next answer wakes the batcher anyway
            self.wake()

    def _offer_at(self, queue: Partition, due: float) -> None:
        self._ticket += 1
        heappush(self._later, (due, self._ticket, queue))
        if due < self.wake_at:
            self.wake()

    @property
    def fills_a_request(self) -> bool:
        """Whether what is ready (as far as the first partition tells) is worth a request, and need not wait for company."""
        first = self.ready[0]
        return bool(first.pending) or (first.open is not None and first.open.size * len(self.ready) >= _WORTH_A_REQUEST)

    def promote(self, now: float) -> None:
        """Move to the ready list what has lingered or backed off long enough (everything, when somebody waits for it)."""
        later = self._later
        while later and (later[0][0] <= now or self.producer.skipping_linger):
            queue = heappop(later)[2]
            if queue.batcher is self and not queue.listed and not queue.empty:
                queue.listed = True
                self.ready.append(queue)

    def next_due(self) -> float:
        """When `promote` will have something; infinity when nothing waits for a time."""
        return self._later[0][0] if self._later else _NEVER

    def drain(self, now: float) -> list[Batch]:
        """Take the batches of the next request in flight: at most one a partition (as Kafka demands), `batch_size_bytes` in all.

        Partitions take turns: one that has more goes to the end of the ready list. A batch larger than the limit travels alone.
        """
        limit, linger = self.producer.settings.batch_size_bytes, self.producer.linger
        ready = self.ready
        batches: list[Batch] = []
        taken: set[Partition] = set()
        total = 0
        for _ in range(len(ready)):
            queue = ready.popleft()
            if queue.batcher is not self:  # its leader moved; the new batcher has it
                continue
            if queue in taken:
                ready.append(queue)
                continue
            fresh = queue.take_fresh(limit - total) if not linger else None
            if fresh is not None:
                queue.listed = False
                batches.append(fresh)
                total += fresh.size
                continue
            batch = queue.head(now, linger)
            if batch is None:
                queue.listed = False
                due = queue.due(now, linger)
                if due is not None:
                    self._ticket += 1
                    heappush(self._later, (due, self._ticket, queue))
                continue
            if batches and total + batch.size > limit:
                ready.appendleft(queue)
                break
            queue.take(batch)
            taken.add(queue)
            batches.append(batch)
            total += batch.size
            if queue.empty:
                queue.listed = False
            else:
                ready.append(queue)
        return batches
