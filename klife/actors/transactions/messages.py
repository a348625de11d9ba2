"""What a `PoolActor` is asked."""

from __future__ import annotations

from dataclasses import dataclass

from klife.actors.runtime.post import ActorMessage
from klife.actors.transactions.producer import TransactionalProducer
from klife.actors.transactions.transaction import Transaction


@dataclass(frozen=True, slots=True)
class CheckOut(ActorMessage[TransactionalProducer]):
    """Asks for a producer for `transaction`, which begins with it. Asked twice, it is the same one.

    Raises (besides what its pool is closed with):
        TransactionError: the cluster does not let the pool's producers write.
        TransactionFenced: somebody else has the pool's ids.
    """

    transaction: Transaction
