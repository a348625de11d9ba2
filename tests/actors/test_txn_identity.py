"""Whatever happens to the records of a transaction, its producer makes no epoch and no id of its own: only the
coordinator does. What would need another one stays where it is, and the transaction has failed.
"""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
from gevent import get_hub

from klife.actors.metadata.snapshot import ClusterSnapshot, TopicInfo
from klife.actors.producer.buffer_pool import BufferPool
from klife.actors.producer.identity import Identities, Identity
from klife.actors.producer.policy import Action, rule_for
from klife.actors.producer.refusal import Refusal
from klife.actors.transactions.producer import TransactionalProducer
from klife.actors.transactions.state import Event, State
from klife.protocol.error_codes import ErrorCode
from tests.support.model_cluster import ModelBroker
from tests.support.producer_parts import Parts, a_producer, topic_info


class OfTheCoordinator(Identities):
    """Refuses to make another."""

    def bump(self, lost: Identity) -> None:
        raise AssertionError("a transactional producer made an epoch of its own")

    def discard(self, refused: Identity | None) -> None:
        raise AssertionError("a transactional producer gave its id up")


class Transactional(Parts):
    """A transactional producer with an open transaction, to which the partitions of topic `t` are admitted."""

    def __init__(self, leaders: list[int] | None = None) -> None:
        super().__init__(leaders)
        partitioner: Any = self.topic.partitioner
        pool: Any = SimpleNamespace(
            name="money",
            settings=SimpleNamespace(producer=a_producer(max_in_flight=5), txn_timeout=90.0),
            buffer=BufferPool(1_000_000, block=False),
            hub=get_hub(),
            max_block=1.0,
            metadata=None,
            connections=SimpleNamespace(broker=lambda node: self.brokers.setdefault(node, ModelBroker(node))),
            wait_for_partitions=lambda topic, *_: self.added.get(topic),
            wake=lambda: None,
            came_to_rest=lambda producer: None,
        )
        self.producer = TransactionalProducer(pool, "money-0", 0)
        self.producer.identities = OfTheCoordinator()
        self.producer.terms.closed = None
        self.producer.batchers.inbox = self.bell  # type: ignore[assignment]
        self.topic = self.producer.routing.add_topic(topic_info(leaders or [1]), partitioner)
        self.identity = Identity(9, 3, admitted={self.partition(index) for index in range(len(leaders or [1]))})
        self.producer.identities.found(self.identity)

    def refuse(self, batch: Any, code: int) -> None:
        rule = rule_for(code, transactional=True)
        self.producer.refused(self.of(batch), batch, Refusal(code, rule, None, {}))
        self.of(batch).retry_at = 0.0

    def drain(self) -> list[Any]:
        """What the batcher sends now, and what the producer does about the rest."""
        batches, stuck = self.batcher().drain(1e12, self.producer.identity)
        if stuck:
            self.producer.begin_anew(stuck, self.producer.identity)
        return [batch for _, batch in batches]

    def same_identity(self) -> bool:
        return self.producer.identity is self.identity and (self.identity.producer_id, self.identity.epoch) == (9, 3)


CODES = [code for code in [*map(int, ErrorCode), 4711] if rule_for(code, transactional=True).action is not Action.DELIVERED]


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("in_flight", [1, 3])
def test_no_answer_makes_it_take_another_identity(in_flight: int, unknown: bool) -> None:
    for code in CODES:
        parts = Transactional()
        parts.delivered(parts.sent(2))
        sent = [parts.sent(2) for _ in range(in_flight)]
        parts.batch(1)
        for batch in sent:
            batch.fate_unknown = unknown
        for batch in sent:
            parts.refuse(batch, code)
        for _ in range(4):
            for batch in parts.drain():
                assert (batch.identity.producer_id, batch.identity.epoch) == (9, 3)
                parts.refuse(batch, code)
        assert parts.same_identity()


@pytest.mark.parametrize("code", sorted({45, 47, 48, 49, 52, 59, 90, 120}))
def test_what_ends_a_transaction_is_its_first_error_and_nothing_of_the_partition_follows(code: int) -> None:
    parts = Transactional()
    batch = parts.sent()
    parts.batch()
    parts.refuse(batch, code)
    error = parts.producer.settlement.first_error
    assert error is not None
    assert error.error_code == code
    assert parts.drain() == []


def test_a_batch_that_expires_makes_it_take_no_other_identity() -> None:
    parts = Transactional()
    parts.delivered(parts.sent())
    late, later = parts.sent(), parts.batch()
    parts.producer.expire(late.created + 1e6)
    assert (late.is_set, later.is_set) == (True, True)
    assert parts.producer.settlement.first_error is not None
    parts.batch()
    assert parts.drain() == []
    assert parts.same_identity()


@pytest.mark.parametrize("news", ["gone", "made anew"])
def test_a_topic_that_goes_or_is_made_anew_makes_it_take_no_other_identity(news: str) -> None:
    parts = Transactional([1, 1])
    parts.delivered(parts.sent())
    sent = parts.sent()
    parts.batch()
    topics = {} if news == "gone" else {"t": TopicInfo("t", b"\2" * 16, (1,), (0,))}
    parts.producer.routing.apply(ClusterSnapshot(topics=topics))
    parts.refuse(sent, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    for _ in range(3):
        for batch in parts.drain():
            parts.refuse(batch, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    assert parts.same_identity()


def test_only_what_the_coordinator_said_it_knew_can_have_timed_out() -> None:
    """An id that was taken while its producer rested, and then ended a transaction of its new owner, looks in v1
    as one that timed out: CompleteAbort at the next epoch.
    """
    parts = Transactional()
    producer = parts.producer
    assert isinstance(producer, TransactionalProducer)
    producer.touched = True  # an AddPartitionsToTxn was sent, or a Produce
    assert not producer.was_open
    parts.delivered(parts.sent())
    assert producer.was_open
    producer.state = State.COMMITTING
    producer.ended(Event.END, committed=True)
    assert not producer.was_open


@pytest.mark.parametrize("seed", range(10))
def test_nothing_that_happens_in_any_order_makes_it_take_another_identity(seed: int) -> None:
    rng = random.Random(seed)
    parts = Transactional([1, 1, 1])
    flying: list[Any] = []
    offset = 0
    for step in range(300):
        flying = [batch for batch in flying if batch.in_flight]
        match rng.randrange(6):
            case 0 | 1:
                parts.batch(rng.randint(1, 3), partition=rng.randrange(3))
            case 2:
                flying += parts.drain()
            case 3 if flying:
                batch = rng.choice(flying)
                if not batch.is_set:
                    offset += batch.count
                    parts.delivered(batch, offset)
            case 4 if flying:
                parts.refuse(rng.choice(flying), rng.choice(CODES))
            case 5 if rng.random() < 0.1:
                parts.producer.expire(rng.random() * 1e6)
        assert parts.same_identity(), step
    parts.producer.abandon("the end")
    assert parts.same_identity()
