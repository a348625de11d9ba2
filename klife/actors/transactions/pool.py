"""`Pool`: the transactional producers of one name: which there are, who has one, and who waits.

A plain value. Who goes out next is decided by `choice`, from what stands here; the `PoolActor` carries it
out.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from klife.actors.closed import NOT_QUEUED
from klife.actors.producer.validation import checked_topic
from klife.actors.runtime.post import Post
from klife.actors.settings import TxnPoolSettings
from klife.actors.transactions.choice import Choice, Way, choose
from klife.actors.transactions.producer import TransactionalProducer
from klife.actors.transactions.state import Event, State
from klife.errors import TransactionError, TransactionFenced

if TYPE_CHECKING:
    from klife.actors.metadata.snapshot import TopicInfo
    from klife.actors.producer.producers import Producers
    from klife.actors.producer.topic import Topic
    from klife.actors.runtime.inbox import Inbox
    from klife.actors.transactions.transaction import Transaction

FEATURE = "transaction.version"


class Pool:
    """One pool of a client."""

    def __init__(self, settings: TxnPoolSettings, producers: Producers) -> None:
        engine = producers.engine
        self.settings = settings
        self.engine = engine
        self.name = settings.name
        self.hub = engine.hub
        self.metadata = engine.metadata
        self.buffer = producers.pool
        self.max_block = engine.settings.max_block
        self._partitioner_of: Callable[[str], Any] = producers.partitioner_of
        self._base = settings.base_txn_id or f"klife-{uuid.uuid4().hex[:16]}"
        self.post = Post()  # where its PoolActor is asked
        self.inbox: Inbox | None = None  # the PoolActor's, while it lives
        self.producers: dict[int, TransactionalProducer] = {}
        self.waiting: dict[Transaction, float] = {}  # who asked first comes first; since when
        self.open: dict[Transaction, None] = {}  # from asking until it is over
        self.fenced: TransactionFenced | None = None
        self.closed: str | None = None  # why no transaction is begun any more
        self._refusal: tuple[float, TransactionError] | None = None
        self.committed = 0
        self.aborted = 0

    @property
    def is_v2(self) -> bool:
        """Whether the cluster has settled KIP-890's second part."""
        return self.metadata.features.levels.get(FEATURE, 0) >= 2

    def wake(self) -> None:
        """Have the PoolActor look."""
        if self.inbox is not None:
            self.inbox.wake()

    # its producers

    def choose(self, now: float) -> Choice:
        """What the first of those who wait gets."""
        is_v2 = self.is_v2
        for producer in self.producers.values():
            if producer.is_free and producer.is_v2 is not is_v2:  # the cluster was upgraded
                producer.move(Event.LOSE)
        everyone = self.producers.values()
        return choose(
            {producer.index: producer.rested_since for producer in everyone if producer.is_free},
            [producer.index for producer in everyone if producer.is_lost],
            sum(producer.is_out for producer in everyone),
            pool_size=self.settings.pool_size,
            now=now,
        )

    def make(self) -> TransactionalProducer:
        """Another producer."""
        index = len(self.producers)
        producer = self.producers[index] = TransactionalProducer(self, f"{self._base}-{index}", index)
        return producer

    def carry_out(self, choice: Choice) -> TransactionalProducer | None:
        """The producer that goes out now, if that is the choice; else one is on its way, or somebody has to
        come back first.
        """
        if choice.way is Way.TAKE:
            index: Any = choice.slot
            return self.producers[index]
        if choice.way is Way.RENEW:
            slot: Any = choice.slot
            self.producers[slot].wanted = True
            self.producers[slot].wake()
        elif choice.way is Way.MAKE:
            self.make().wanted = True
        return None

    @property
    def being_made(self) -> int:
        """Producers that are initialised for somebody who waits."""
        return sum(producer.wanted for producer in self.producers.values())

    def refused(self, error: TransactionError) -> None:
        """The cluster does not let a producer begin: whoever waits now is told."""
        self._refusal = monotonic(), error
        self.wake()

    def refusal_of(self, transaction: Transaction) -> TransactionError | None:
        """Why `transaction`, which waits, gets no producer."""
        if self.fenced is not None:
            return self.fenced
        if self._refusal is not None and self._refusal[0] >= self.waiting.get(transaction, 0.0):
            return self._refusal[1]
        return None

    def fence(self, error: TransactionFenced) -> None:
        """Somebody else has the ids: no transaction is begun any more."""
        if self.fenced is None:
            self.fenced = error
        self.wake()

    def trouble(self) -> str | None:
        """What is in the way of a producer that is being initialised."""
        return next((str(each.identities.error) for each in self.producers.values() if each.wanted and each.identities.error), None)

    # its transactions

    def leave(self, transaction: Transaction) -> None:
        """Whoever asked for it does not wait for a producer any more; if it has one, it is ended."""
        self.waiting.pop(transaction, None)
        if transaction.producer is None:
            self.open.pop(transaction, None)
        else:
            transaction.producer.end(transaction, commits=False)
        self.wake()

    def count(self, transaction: Transaction) -> None:
        """`transaction` is over."""
        self.open.pop(transaction, None)
        if transaction.committed:
            self.committed += 1
        else:
            self.aborted += 1

    def topic(self, producer: TransactionalProducer, called: Any, deadline: float) -> Topic:
        """As `Producers.topic`, of one of the producers."""
        name = checked_topic(called)
        routing = producer.routing
        topic = routing.topics.get(name)
        if topic is None:
            info = self.metadata.topic(name, deadline, creates=True, so=NOT_QUEUED)
            topic = routing.topics.get(name) or routing.add_topic(info, self._partitioner_of(name))
        return topic

    def wait_for_partitions(self, topic: str, count: int, deadline: float, answers: int) -> TopicInfo | None:
        """What its producers ask of the metadata."""
        return self.metadata.wait_for_partitions(topic, count, deadline, creates=True, answers=answers, so=NOT_QUEUED)

    @property
    def is_fenced(self) -> bool:
        return self.fenced is not None or any(each.state is State.FATAL_ERROR for each in self.producers.values())
