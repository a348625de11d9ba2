"""`PoolTerms`: what holds for all of a pool, its producers and its transactions: settings, what they stand on, and
the few things that change.

It imports nothing of a pool, and everything of a pool knows it, as `Terms` is known by everything of a producer.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from klife.actors.closed import NOT_QUEUED
from klife.actors.producer.validation import checked_topic
from klife.actors.settings import TxnPoolSettings
from klife.actors.transactions.connections import Connections
from klife.actors.transactions.state import State
from klife.errors import TransactionError, TransactionFenced

if TYPE_CHECKING:
    from klife.actors.metadata.metadata import Metadata
    from klife.actors.metadata.snapshot import TopicInfo
    from klife.actors.producer.buffer_pool import BufferPool
    from klife.actors.producer.producer import Producer
    from klife.actors.producer.producers import Producers
    from klife.actors.producer.topic import Topic
    from klife.actors.runtime.inbox import Inbox

FEATURE = "transaction.version"

_LEAST_MARKS, _SHARE_OF_MARKS = 1_000, 20


class PoolTerms:
    """The settings of one pool, and how it is at this moment."""

    def __init__(self, settings: TxnPoolSettings, producers: Producers, connections: Connections) -> None:
        engine = producers.engine
        self.settings = settings
        self.engine = engine
        self.name: str = settings.name
        self.hub: Any = engine.hub
        self.metadata: Metadata = engine.metadata
        self.connections = connections
        self.buffer: BufferPool = producers.pool
        self.max_block: float = engine.settings.max_block
        self._partitioner_of: Callable[[str], Any] = producers.partitioner_of
        self.inbox: Inbox | None = None  # the PoolActor's, while it lives
        self.open: dict[Any, None] = {}  # transactions, from asking until they are over
        self.waiting: dict[Any, float] = {}  # those without a producer: who asked first comes first; since when
        self.rested: dict[Any, None] = {}  # producers that may go out: who came to rest first comes first
        self.out: set[Any] = set()  # producers that somebody has, or that are not done yet with who had them
        self.fenced: TransactionFenced | None = None
        self.refusal: tuple[float, TransactionError] | None = None  # the last one, and when
        self._mark: int = _mark_for(settings)
        self.committed: int = 0
        self.aborted: int = 0

    @property
    def is_v2(self) -> bool:
        """Whether the cluster has settled KIP-890's second part."""
        return self.metadata.features.levels.get(FEATURE, 0) >= 2

    @property
    def marked_timeout_ms(self) -> int:
        """What the coordinator is told as the transactions' timeout: `txn_timeout` and a little more, which no other
        process is likely to have. It tells it again when it describes an id, and so who initialised that last.
        """
        return int(self.settings.txn_timeout * 1000) + self._mark

    def initialised_last(self, timeout_ms: int | None) -> bool:
        """Whether an id with this timeout (None: it is not known) was initialised by this pool, and by nobody
        since: by the mark, or, without one, if the id has a random name, which nobody else can have.
        """
        if timeout_ms is None or not self._mark:
            return not self.settings.base_txn_id
        return timeout_ms == self.marked_timeout_ms

    def drop_mark(self) -> bool:
        """The brokers allow no longer timeout, perhaps: do without. Whether there was a mark."""
        mark, self._mark = self._mark, 0
        return mark > 0

    def wake(self) -> None:
        """Have the PoolActor look."""
        if self.inbox is not None:
            self.inbox.wake()

    def went_out(self, producer: Any) -> None:
        """Somebody has it."""
        self.out.add(producer)
        self.rested.pop(producer, None)

    def came_to_rest(self, producer: Any) -> None:
        """It did: somebody who waits may have it, perhaps after it was initialised."""
        if producer.state is State.READY:
            self.rested[producer] = None
        self.out.discard(producer)
        if self.waiting:
            self.wake()

    def refused(self, error: TransactionError) -> None:
        """The cluster does not let a producer begin: whoever waits now is told."""
        self.refusal = monotonic(), error
        self.wake()

    def fence(self, error: TransactionFenced) -> None:
        """Somebody else has the ids: no transaction is begun any more."""
        if self.fenced is None:
            self.fenced = error
        self.wake()

    def count(self, transaction: Any) -> None:
        """`transaction` is over."""
        self.open.pop(transaction, None)
        if transaction.committed:
            self.committed += 1
        else:
            self.aborted += 1

    def topic(self, producer: Producer, called: Any, deadline: float) -> Topic:
        """As `Producers.topic`, of one of the producers."""
        routing = producer.routing
        topic = routing.topics.get(called) if type(called) is str else None
        if topic is None:
            name = checked_topic(called)
            info = self.metadata.topic(name, deadline, creates=True, so=NOT_QUEUED)
            topic = routing.topics.get(name) or routing.add_topic(info, self._partitioner_of(name))
        return topic

    def wait_for_partitions(self, topic: str, count: int, deadline: float, answers: int) -> TopicInfo | None:
        """What its producers ask of the metadata."""
        return self.metadata.wait_for_partitions(topic, count, deadline, creates=True, answers=answers, so=NOT_QUEUED)


def _mark_for(settings: TxnPoolSettings) -> int:
    """Milliseconds."""
    return random.randint(1, max(_LEAST_MARKS, int(settings.txn_timeout * 1000) // _SHARE_OF_MARKS))
