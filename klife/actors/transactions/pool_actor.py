"""`PoolActor`: gives the producers of a pool to those who have to wait, in the order they asked, and looks after
transactions whose owner is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from time import monotonic
from typing import Any

from klife.actors.runtime.actor import POSTPONED, GeventActor
from klife.actors.transactions.choice import RESTED, Way
from klife.actors.transactions.messages import CheckOut
from klife.actors.transactions.pool import Pool
from klife.actors.transactions.producer import TransactionalProducer
from klife_supervision import ExitReason, SupervisionError
from klife_supervision.logs import Logger, get_logger

log: Logger = get_logger("klife.transactions")

_LOOK_FOR_OWNERS_EVERY = 1.0


class PoolActor(GeventActor):
    """Runs one `Pool`. `start_producer(producer)` starts the actors of one that has none, and may raise
    SupervisionError.
    """

    may_wait_for_klife = False

    def __init__(self, pool: Pool, start_producer: Callable[[TransactionalProducer], None]) -> None:
        super().__init__()
        self.pool = pool
        self._start_producer = start_producer

    @property
    def state(self) -> str:
        """Shown in the supervision tree."""
        pool = self.pool
        return f"{len(pool.open) - len(pool.waiting)} open, {len(pool.waiting)} waiting"

    def on_start(self) -> None:
        self.pool.inbox = self.actor_inbox
        self.pool.looked_after_until = 0.0  # our predecessor's timer went with it
        self.actor_inbox.wake()

    def on_exit(self, reason: ExitReason) -> None:
        if self.pool.inbox is self.actor_inbox:
            self.pool.inbox = None

    def on_wake(self) -> None:
        pool = self.pool
        for transaction in list(pool.open):
            producer = transaction.producer
            if transaction.owner.is_gone and producer is not None and producer.end_asked_at is None:
                log.warning("transaction_owner_gone", pool=pool.name, id=transaction.whose.transactional_id)
                producer.end(transaction, commits=False)
        self._hand_out()
        self._start_producers()
        self._look_again()

    def on_receive(self, message: CheckOut) -> Any:
        pool, transaction = self.pool, message.transaction
        if transaction.producer is not None:
            return transaction.producer
        if transaction not in pool.waiting and transaction in pool.open:
            pool.waiting[transaction] = transaction.asked_at
            self._hand_out()
            self._start_producers()
            self._look_again()
            if transaction.producer is not None:
                return transaction.producer
        refusal = pool.refusal_of(transaction)
        if refusal is not None:
            raise copy(refusal)  # each who raises it leaves a traceback in it
        return POSTPONED

    def _hand_out(self) -> None:
        """Give producers to those who came first."""
        pool = self.pool
        if pool.waiting:
            pool.take_over()
        while pool.waiting and pool.fenced is None:
            transaction = next(iter(pool.waiting))
            if transaction.producer is not None:  # our predecessor was interrupted when it had begun
                del pool.waiting[transaction]
                continue
            choice = pool.choose(monotonic())
            if choice.way in (Way.RENEW, Way.MAKE) and pool.being_made >= len(pool.waiting):
                return  # one is on its way for each who waits
            producer = pool.carry_out(choice)
            if producer is None:
                if choice.way is Way.WAIT:
                    return
                continue
            producer.begin(transaction)
            del pool.waiting[transaction]

    def _look_again(self) -> None:
        """While transactions are open: after owners; whether one has rested long enough for those who wait."""
        if self.pool.open:
            self._look_within(RESTED if self.pool.waiting else _LOOK_FOR_OWNERS_EVERY)

    def _look_within(self, seconds: float) -> None:
        pool, now = self.pool, monotonic()
        if not now < pool.looked_after_until <= now + seconds:  # else the timer is set
            pool.looked_after_until = now + seconds
            self.wake_after(seconds)

    def _start_producers(self) -> None:
        for producer in list(self.pool.producers.values()):
            if not producer.has_actor:
                try:
                    self._start_producer(producer)
                except SupervisionError as error:  # their supervisor is being restarted; it starts them all when it is up
                    log.debug("producer_not_started", pool=self.pool.name, error=str(error))
                    self._look_within(0.1)
                    return
