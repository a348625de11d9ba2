"""`Pool`: the transactional producers of one name: which there are, who has one, and who waits.

A plain value. Who goes out next is decided by `choice`, from what stands here; the caller takes a producer that
rests, and the `PoolActor` carries out the rest.
"""

from __future__ import annotations

import uuid
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from klife.actors.runtime.post import Post
from klife.actors.settings import TxnPoolSettings
from klife.actors.transactions.choice import MADE_PER_OPEN, Choice, Way, choose, takes
from klife.actors.transactions.pool_terms import PoolTerms
from klife.actors.transactions.producer import Standing, TransactionalProducer
from klife.actors.transactions.state import Event, State
from klife.errors import TransactionError

if TYPE_CHECKING:
    from klife.actors.producer.producers import Producers
    from klife.actors.transactions.connections import Connections
    from klife.actors.transactions.transaction import Transaction


class Pool(PoolTerms):
    """One pool of a client."""

    def __init__(self, settings: TxnPoolSettings, producers: Producers, connections: Connections) -> None:
        super().__init__(settings, producers, connections)
        self._base = settings.base_txn_id or f"klife-{uuid.uuid4().hex[:16]}"
        self.post: Post = Post()  # where its PoolActor is asked
        self.producers: dict[int, TransactionalProducer] = {}
        self.looked_after_until: float = 0.0  # monotonic seconds; when the PoolActor's timer has it look again

    # its producers

    def choose(self, now: float) -> Choice:
        """What the first of those who wait gets."""
        first = self._first_rested(now)
        return Choice(Way.TAKE, first.index) if first is not None else self._choose_among_all(now)

    def _choose_among_all(self, now: float) -> Choice:
        is_v2 = self.is_v2
        resting: dict[Hashable, float] = {}
        lost: list[Hashable] = []
        out = 0  # without those that are being made: while they are, one that rests may go out all the same
        for producer in self.producers.values():
            standing = producer.standing
            if standing is Standing.FREE:
                if producer.is_v2 is is_v2:
                    resting[producer.index] = producer.rested_since
                    continue
                producer.move(Event.LOSE)  # the cluster was upgraded
                self.rested.pop(producer, None)
                standing = Standing.LOST
            if standing is Standing.LOST:
                lost.append(producer.index)
            elif standing is Standing.OUT:
                out += 1
        return choose(resting, lost, out, len(self.producers), pool_size=self.settings.pool_size, now=now)

    def begin_at_once(self, transaction: Transaction, now: float) -> bool:
        """Give `transaction` a producer that rests, if it need not wait; whoever asks for one by a message does."""
        if self.waiting or self.fenced is not None:
            return False
        producer = self._first_rested(now)
        if producer is None:
            choice = self._choose_among_all(now)
            if choice.way is not Way.TAKE:
                return False
            producer = self.carry_out(choice)
            assert producer is not None
        producer.begin(transaction)
        if self.looked_after_until <= now:
            self.wake()
        return True

    def _first_rested(self, now: float) -> TransactionalProducer | None:
        """The producer that came to rest first, if that is the choice: as a rule it is, and nobody looks at all."""
        first: TransactionalProducer | None = next(iter(self.rested), None)
        if first is None or first.state is not State.READY or first.is_v2 is not self.is_v2:
            return None
        out = len(self.out)
        made = out + len(self.rested)
        return first if takes(first.rested_since, out, made, pool_size=self.settings.pool_size, now=now) else None

    def make(self) -> TransactionalProducer:
        """Another producer."""
        index = len(self.producers)
        producer = self.producers[index] = TransactionalProducer(self, f"{self._base}-{index}", index)
        return producer

    def take_over(self) -> None:
        """Make all that a pool of stable ids may have, before the first goes out.

        That ends what another process, which had them, left open. And none is asked for afresh later on,
        which would take it from whoever has it by then.
        """
        if self.settings.base_txn_id and not self.producers:
            for _ in range(MADE_PER_OPEN * self.settings.pool_size):
                self.make().wanted = True

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
    def resting(self) -> int:
        """Producers that nobody has."""
        return sum(producer.standing in (Standing.FREE, Standing.LOST) for producer in self.producers.values())

    @property
    def being_made(self) -> int:
        """Producers that are initialised for somebody who waits."""
        return sum(producer.wanted for producer in self.producers.values())

    def refusal_of(self, transaction: Transaction) -> TransactionError | None:
        """Why `transaction`, which waits, gets no producer."""
        if self.fenced is not None:
            return self.fenced
        if self.refusal is not None and self.refusal[0] >= self.waiting.get(transaction, 0.0):
            return self.refusal[1]
        return None

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

    @property
    def is_fenced(self) -> bool:
        return self.fenced is not None or any(each.state is State.FATAL_ERROR for each in self.producers.values())
