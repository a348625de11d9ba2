"""`Routing`: topics that come, go and move, with what is queued for them."""

from __future__ import annotations

from collections import Counter

import pytest

from klife import Crc32Partitioner, Murmur2Partitioner, Partitioner, Phash2Partitioner, RandomPartitioner, Record
from klife.actors.producer.partition import Partition
from klife.actors.producer.topic import Topic
from tests.support.producer_parts import NO_LEADER, Parts, topic_info

NOW = 1e12


def test_a_moved_partition_takes_its_queue_its_numbers_and_its_order_along() -> None:
    parts = Parts([1, 1])
    parts.delivered(parts.sent())
    retried = parts.sent()
    queued = parts.batch()
    parts.refused(retried, 6)
    parts.partition().retry_at = NOW + 1
    parts.apply([2, 1])
    (batch,) = parts.drained(NOW, 2)
    assert (batch, batch.sequence, batch.identity) == (retried, 1, parts.identity)
    parts.delivered(retried)
    parts.producer.batchers.offer(parts.partition())
    assert parts.drained(NOW, 2) == [queued]
    assert queued.sequence == 2


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_each_batcher_of_a_broker_has_its_share_of_the_partitions(count: int) -> None:
    parts = Parts([partition % 3 for partition in range(30)], batchers_count=count)
    other = parts.producer.routing.add_topic(topic_info([0], "other"), parts.topic.partitioner)
    shares = Counter(parts.partition(partition).served_by for partition in range(30))
    assert len(shares) == 3 * count
    assert max(shares.values()) - min(shares.values()) <= 1
    # Where there are topics of one partition, they are what is shared out.
    assert other.partition(0).served_by is parts.batcher(0, 10 % count)


def test_a_partition_keeps_its_batcher_while_its_leader_stays() -> None:
    parts = Parts([1] * 6, batchers_count=4)
    before = [parts.partition(partition).served_by for partition in range(6)]
    parts.apply([2, 1, 2, 1, 1, 1])
    assert [parts.partition(partition).served_by for partition in (1, 3, 4, 5)] == [before[partition] for partition in (1, 3, 4, 5)]
    moved = [parts.partition(partition).served_by for partition in (0, 2)]
    assert [(batcher.node_id, batcher.index) for batcher in moved if batcher is not None] == [(2, 0), (2, 1)]


def test_news_that_change_nothing_move_nothing() -> None:
    parts = Parts([1])
    batcher = parts.partition().served_by
    parts.apply([1])
    assert parts.partition().served_by is batcher
    assert len(parts.producer.routing.batchers) == 1


def test_records_for_a_partition_without_leader_wait_and_are_known_to_wait() -> None:
    parts = Parts([NO_LEADER])
    assert not parts.producer.batchers.has_leaderless()
    batch = parts.batch()
    assert parts.producer.batchers.has_leaderless()
    parts.apply([3])
    assert not parts.producer.batchers.has_leaderless()
    assert parts.drained(NOW, 3) == [batch]


def test_a_batch_that_comes_back_when_its_leader_is_gone_is_known_to_wait() -> None:
    parts = Parts([1])
    batch = parts.sent()
    parts.apply([NO_LEADER])
    assert not parts.producer.batchers.has_leaderless()
    parts.refused(batch, 6)
    parts.producer.batchers.offer(parts.of(batch))
    assert parts.producer.batchers.has_leaderless()


def test_nobody_looks_for_a_leader_when_all_that_waited_for_one_has_expired() -> None:
    parts = Parts([NO_LEADER], delivery_timeout=10.0)
    batch = parts.batch()
    assert parts.producer.batchers.has_leaderless()
    parts.producer.expire(batch.created + 10)
    assert not parts.producer.batchers.has_leaderless()


def test_a_topic_that_vanishes_and_comes_back_finds_its_records() -> None:
    parts = Parts([1])
    parts.delivered(parts.sent())
    batch = parts.batch()
    parts.apply(None)
    assert "t" not in parts.producer.routing.topics
    assert parts.partition().served_by is None
    parts.apply([2])
    assert parts.producer.routing.topics["t"] is parts.topic
    assert parts.drained(NOW, 2) == [batch]
    assert batch.sequence == 1


def test_a_partition_that_was_gone_for_a_while_does_not_begin_with_numbers_that_were_used() -> None:
    parts = Parts([1, 1])
    before = parts.sent(partition=1)
    parts.delivered(before)
    parts.apply([1])
    parts.apply([1, 1])
    after = parts.sent(partition=1)
    assert before.identity is not None
    assert after.identity is not None
    assert (after.identity.producer_id, after.identity.epoch, after.sequence) == (9, before.identity.epoch + 1, 0)


def test_a_topic_made_anew_with_fewer_partitions_lets_what_is_beyond_expire() -> None:
    parts = Parts([1, 1, 1], delivery_timeout=10.0)
    kept, lost = parts.batch(partition=0), parts.batch(partition=2)
    parts.apply([1])
    assert parts.topic.count == 1
    assert parts.drained(NOW, 1) == [kept]
    parts.producer.expire(lost.created + 10)
    assert not lost.result(0).error.possibly_persisted  # type: ignore[union-attr]


def test_new_partitions_can_be_produced_to_at_once() -> None:
    parts = Parts([1])
    parts.apply([1, 2])
    parts.batch(partition=1)
    assert len(parts.drained(NOW, 2)) == 1


# free choices, while some partitions have no leader

SIX = [1, NO_LEADER, 1, 1, NO_LEADER, 1]
LED = {0, 2, 3, 5}
BUILT_IN = [Murmur2Partitioner, Phash2Partitioner, Crc32Partitioner, RandomPartitioner]
every_built_in = pytest.mark.parametrize("built_in", BUILT_IN)


def topic_by(partitioner: object, leaders: list[int] = SIX) -> tuple[Parts, Topic]:
    parts = Parts([1])
    return parts, parts.producer.routing.add_topic(topic_info(leaders, "free"), partitioner)


def places_of(topic: Topic, key: bytes | None, partitioner: object = None, count: int = 200) -> set[int]:
    places = set()
    for _ in range(count):
        topic.append(Record("free", b"v", key=key), partitioner)
        (partition,) = filled(topic)
        places.add(partition.partition_id)
        empty(partition)
    return places


def filled(topic: Topic) -> list[Partition]:
    return [partition for partition in topic.partitions if partition is not None and not partition.empty]


def empty(partition: Partition) -> None:
    partition.close()
    partition.pending.clear()


@every_built_in
def test_a_record_without_key_goes_where_there_is_a_leader(built_in: type[Partitioner]) -> None:
    _, topic = topic_by(built_in())
    assert places_of(topic, None) == LED


@every_built_in
def test_so_it_does_if_only_its_call_names_the_partitioner(built_in: type[Partitioner]) -> None:
    _, topic = topic_by(Crc32Partitioner())
    assert places_of(topic, None, built_in()) == LED


def test_an_empty_key_is_none_where_librdkafka_says_so_and_a_random_choice_looks_at_no_key() -> None:
    assert places_of(topic_by(Crc32Partitioner())[1], b"") == LED
    assert places_of(topic_by(RandomPartitioner())[1], b"key") == LED


@pytest.mark.parametrize("built_in", BUILT_IN[:3])
def test_a_record_with_a_key_waits_for_the_leader_of_its_partition(built_in: type[Partitioner]) -> None:
    _, topic = topic_by(built_in())
    keys = [b"%d" % number for number in range(50)]
    said = {key: built_in().partition(Record("free", b"v", key=key), 6) for key in keys}
    assert {key: places_of(topic, key, count=1) for key in keys} == {key: {partition} for key, partition in said.items()}
    assert not set(said.values()) <= LED


@every_built_in
def test_with_no_leader_anywhere_any_partition_will_do_and_with_all_of_them_too(built_in: type[Partitioner]) -> None:
    for leaders in ([NO_LEADER] * 6, [1] * 6):
        assert places_of(topic_by(built_in(), leaders)[1], None) == set(range(6))


def test_leaders_that_go_and_come_back_are_followed() -> None:
    _, topic = topic_by(RandomPartitioner(), [1] * 6)
    for leaders, places in ((SIX, LED), ([1] * 6, set(range(6)))):
        topic_news = topic_info(leaders, "free")
        topic.follow(topic_news)
        assert places_of(topic, None) == places


def test_nobody_sticks_to_a_partition_that_has_lost_its_leader() -> None:
    for _ in range(20):
        _, topic = topic_by(Murmur2Partitioner(), [1, 1])
        topic.follow(topic_info([1, NO_LEADER], "free"))
        assert places_of(topic, None, count=1) == {0}


class SecondToLast(RandomPartitioner):
    """A rule of its own, and what it inherits was said of another."""

    def partition(self, record: Record, partition_count: int) -> int:
        return partition_count - 2


class EvensOrAny(SecondToLast):
    def any_will_do(self, record: Record) -> bool:
        return record.value == b"v"


class Quacks:
    def partition(self, record: Record, partition_count: int) -> int:
        return 4


def test_a_partitioner_of_ones_own_is_obeyed_unless_it_says_that_any_will_do() -> None:
    for partitioner in (SecondToLast(), Quacks()):
        assert places_of(topic_by(partitioner)[1], None) == {4}
    assert places_of(topic_by(EvensOrAny())[1], None) == LED
