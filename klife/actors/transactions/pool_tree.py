"""The part of the client's supervision tree that works for one pool: child specs only.

txn pool NAME (rest_for_one)
├─ pool                  PoolActor
└─ producers (dynamic) ── producer NAME N (rest_for_one), as any producer's, with a TransactionalProducerActor
"""

from __future__ import annotations

from klife.actors.dynamic_children import DynamicChildren, owner_spec
from klife.actors.producer.producer_tree import producer_spec
from klife.actors.runtime.ref import GeventActorRef
from klife.actors.transactions.pool import Pool
from klife.actors.transactions.pool_actor import PoolActor
from klife.actors.transactions.producer import TransactionalProducer
from klife.actors.transactions.producer_actor import TransactionalProducerActor
from klife_supervision import ChildSpec


def pool_spec(pool: Pool) -> ChildSpec:
    """The supervisor of one pool's actors."""

    def spec_of(producer: TransactionalProducer) -> ChildSpec:
        return producer_spec(producer, pool.metadata, producer.post, TransactionalProducerActor, significant=False)

    producers = DynamicChildren(pool.producers, spec_of)

    def start_pool() -> GeventActorRef[PoolActor]:
        return PoolActor.start(pool, producers.start_child)

    owner = ChildSpec(id="pool", start=lambda: pool.post.start(start_pool))
    return owner_spec(f"txn pool {pool.name}", owner, producers.spec("producers"))
