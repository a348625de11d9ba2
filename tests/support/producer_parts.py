"""The pure parts of a producer, put together for a test: no actors, no sockets, and a clock that is a number."""

from __future__ import annotations

from typing import Any

import gevent
from gevent import get_hub

from klife.actors.metadata.snapshot import NO_LEADER, ClusterSnapshot, TopicInfo
from klife.actors.producer.batch import Batch
from klife.actors.producer.batcher import Batcher
from klife.actors.producer.buffer_pool import BufferPool
from klife.actors.producer.identity import Identity
from klife.actors.producer.partition import Partition
from klife.actors.producer.policy import rule_for
from klife.actors.producer.producer import Producer
from klife.actors.producer.refusal import Decision, Refusal
from klife.actors.producer.topic import Topic
from klife.actors.settings import ProducerSettings
from klife.api.config import ProducerConfig
from klife.api.settings import producer_settings
from klife.errors import ProduceError
from klife.record import Record
from tests.support.model_cluster import ModelBroker


class Bell:
    """Stands in for an actor's inbox."""

    def __init__(self) -> None:
        self.woken = False

    def wake(self) -> None:
        self.woken = True

    def rung(self) -> bool:
        woken, self.woken = self.woken, False
        return woken


def topic_info(leaders: list[int], name: str = "t") -> TopicInfo:
    return TopicInfo(name, b"\1" * 16, tuple(leaders), (0,) * len(leaders))


def a_producer(**settings: Any) -> ProducerSettings:
    """The default settings, but for these."""
    return producer_settings(ProducerConfig(name="p", client_id="c"))._replace(**settings)


class Parts:
    """A producer with a topic `t`, whose leaders are given, and an identity."""

    def __init__(self, leaders: list[int] | None = None, **settings: Any) -> None:
        self.brokers: dict[int, ModelBroker] = {}
        self.added: dict[str, TopicInfo] = {}  # topics that have more partitions by the time that somebody waits for some
        self.producer = Producer(
            a_producer(**{"max_in_flight": 5, **settings}),
            BufferPool(1_000_000, block=False),
            get_hub(),
            1.0,
            lambda node: self.brokers.setdefault(node, ModelBroker(node)),  # type: ignore[arg-type, return-value]
            lambda topic, *_: self.added.get(topic),
        )
        self.bell = Bell()
        self.producer.batchers.inbox = self.bell  # type: ignore[assignment]
        self.identity = Identity(9, 0)
        self.producer.identities.found(self.identity)
        self.topic: Topic = self.producer.routing.add_topic(topic_info(leaders or [1]), _First())

    def partition(self, partition_id: int = 0) -> Partition:
        return self.topic.partition(partition_id)

    def of(self, batch: Batch) -> Partition:
        """The partition of `batch`."""
        return self.partition(batch.partition_id)

    def batcher(self, node_id: int = 1, index: int = 0) -> Batcher:
        return self.producer.batchers.all[node_id, index]

    def drained(self, now: float, node_id: int = 1) -> list[Batch]:
        """The batches of the next request to a broker."""
        return self.taken(self.batcher(node_id), now)

    def taken(self, batcher: Batcher, now: float) -> list[Batch]:
        """The batches of the batcher's next request."""
        batches, stuck = batcher.drain(now, self.producer.identity)
        assert not stuck
        return [batch for _, batch in batches]

    def batch(self, count: int = 1, partition: int = 0, *, size: int = 10) -> Batch:
        """A closed batch of `count` records."""
        for number in range(count):
            batch = self.topic.append(Record("t", b"%0*d" % (size, number), partition=partition))._batch
        self.partition(partition).close()
        return batch

    def send(self, batch: Batch) -> None:
        """`batch` is what its partition lets go now, and goes."""
        partition = self.of(batch)
        assert partition.head(1e12, 0.0) is batch
        if not partition.take(batch, self.producer.identity):
            self.producer.begin_anew([partition], self.producer.identity)
            assert partition.take(batch, self.producer.identity)

    def sent(self, count: int = 1, partition: int = 0) -> Batch:
        batch = self.batch(count, partition)
        self.send(batch)
        return batch

    def delivered(self, batch: Batch, offset: int = 0, append_time_ms: int = -1) -> None:
        self.producer.settlement.delivered(self.of(batch), batch, offset, append_time_ms)

    def refused(
        self, batch: Batch, code: int, record_errors: dict[int, str | None] | None = None, *, appended: bool = False
    ) -> Decision:
        """As the broker's answer, but that nothing backs off."""
        refusal = Refusal(code, rule_for(code), None, record_errors or {}, appended)
        decision = self.producer.refused(self.of(batch), batch, refusal)
        self.of(batch).retry_at = 0.0
        return decision

    def look(self, now: float) -> float | None:
        """As its timer does; return when to look again."""
        return now if self.producer.expire(now) else self.producer.deadlines.next_look(now)

    def put_back(self, batch: Batch) -> None:
        self.of(batch).put_back(batch)

    def failed(self, batch: Batch, error: ProduceError) -> None:
        self.producer.settlement.failed(self.of(batch), batch, error)

    def apply(self, leaders: list[int] | None) -> None:
        """News of the topic's leaders; None: it is gone."""
        self.producer.routing.apply(ClusterSnapshot(topics={} if leaders is None else {"t": topic_info(leaders)}))


class _First:
    def partition(self, record: Record, partition_count: int) -> int:
        return 0


def sent_by_now() -> None:
    """Let the loop become idle: what was produced and may leave has left."""
    gevent.idle()
    gevent.idle()  # the batcher and we were called in any order


__all__ = ["NO_LEADER", "Bell", "Parts", "sent_by_now", "topic_info"]
