"""Keyless records that linger, of several topics: they gather for one broker, and no partition gets more than its
share.
"""

from __future__ import annotations

from klife import Record
from klife.actors.producer.batch import Batch
from klife.actors.producer.partitioners import Murmur2Partitioner
from klife.actors.producer.topic import Topic
from tests.support.producer_parts import Parts, topic_info

LEADERS = [1, 2, 3] * 4
DRAWS = [(number + 0.5) / len(LEADERS) for number in range(len(LEADERS))]


def topics(parts: Parts) -> list[Topic]:
    """Two, of the same brokers in another order."""
    infos = topic_info(LEADERS, "a"), topic_info(LEADERS[::-1], "b")
    return [parts.producer.routing.add_topic(info, Murmur2Partitioner()) for info in infos]


def lingering(topic: Topic) -> Batch:
    return topic.append(Record(topic.name, b"v"))._batch


def brokers(parts: Parts, batches: list[Batch]) -> set[int]:
    return {parts.producer.routing.topics[batch.topic].info.leaders[batch.partition_id] for batch in batches}


def leave(parts: Parts, batches: list[Batch]) -> None:
    """A request with `batches` leaves, and is answered."""
    (node,) = brokers(parts, batches)
    now = batches[-1].created + 60
    parts.batcher(node).promote(now)
    assert parts.drained(now, node) == batches
    for batch in batches:
        partition = parts.producer.routing.topics[batch.topic].partition(batch.partition_id)
        parts.producer.settlement.delivered(partition, batch, 0, -1)


def test_topics_share_a_broker_and_take_each_partition_in_turn() -> None:
    parts = Parts(linger=5.0)
    both = topics(parts)
    chosen: dict[str, list[int]] = {"a": [], "b": []}
    for drawn in DRAWS:
        parts.producer.terms.drawn, parts.producer.terms.drawn_until = drawn, 1e12
        batches = [lingering(topic) for topic in both]
        for batch in batches:
            chosen[batch.topic].append(batch.partition_id)
        leave(parts, batches)
    assert [sorted(partitions) for partitions in chosen.values()] == [[*range(len(LEADERS))]] * 2


def test_a_draw_holds_as_long_as_its_first_record_lingers() -> None:
    terms = Parts(linger=5.0).producer.terms
    drawn = terms.draw_together()
    assert terms.draw_together() == drawn
    terms.drawn_until -= 5.0
    assert terms.draw_together() != drawn


def test_a_topic_whose_batch_is_full_draws_by_itself() -> None:
    parts = Parts(linger=5.0, batch_size_bytes=200)
    first, _ = topics(parts)
    chosen = set()
    for _ in range(200):
        first.append(Record("a", b"x" * 100))
        chosen.add(first.sticky)
    assert len(chosen) > 1


def test_without_a_linger_each_draws_by_itself() -> None:
    parts = Parts()
    both = topics(parts)
    apart = 0
    for _ in range(100):
        batches = [lingering(topic) for topic in both]
        apart += len(brokers(parts, batches)) > 1
        for batch in batches:
            parts.producer.settlement.dropped(parts.producer.routing.topics[batch.topic].partition(batch.partition_id), batch, None)  # type: ignore[arg-type]
    assert apart > 0
