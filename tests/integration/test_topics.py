"""Topics that are not there, that appear, that grow: what `produce` waits for, and how long."""

from __future__ import annotations

import uuid
from time import monotonic

import gevent
import pytest

from klife import Client, DeliveryTimeout, Record, UnknownPartition, UnknownTopic
from klife.testing.cluster import KafkaCluster
from tests.support.on_cluster import MakeTopic, ReadBack, StartClient
from tests.support.waiting import wait_until, wait_until_known


def new_name() -> str:
    return f"integration-late-{uuid.uuid4().hex[:8]}"


def requests_sent(client: Client) -> int:
    return sum(broker.requests_sent for broker in client.status().brokers)


def test_an_unknown_topic_waits_max_block_ms_and_then_raises(start_client: StartClient) -> None:
    client = start_client(max_block_ms=700)
    began = monotonic()
    with pytest.raises(UnknownTopic, match="was not found within max_block_ms: UNKNOWN_TOPIC_OR_PARTITION") as raised:
        client.produce(Record("no-such-topic", b"v"))
    assert 0.7 <= monotonic() - began < 30
    assert (raised.value.topic, raised.value.error_code, raised.value.retriable) == ("no-such-topic", 3, True)
    assert raised.value.possibly_persisted is False


def test_waiting_for_an_unknown_topic_delays_nobody_else(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client(max_block_ms=4_000)
    topic = make_topic(1)
    client.partitions(topic)
    waiting = gevent.spawn(client.produce, Record("no-such-topic", b"v"))
    for _ in range(10):
        client.produce(Record(topic, b"v")).get(10)
    assert not waiting.ready()
    with pytest.raises(UnknownTopic):
        waiting.get(timeout=20)


def test_a_batch_with_an_unknown_topic_delivers_the_other_records(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    topic = make_topic(1)
    client = start_client(max_block_ms=500, topics=[{"name": topic}])
    wait_until_known(client, topic)
    first, second, third = client.produce_batch([Record(topic, b"1"), Record("no-such-topic", b"2"), Record(topic, b"3")]).get(30)
    assert isinstance(second.error, UnknownTopic)
    assert (first.error, third.error) == (None, None)
    assert [read.value for read in read_back(topic)] == [b"1", b"3"]


def test_a_topic_created_meanwhile_is_found_soon(kafka_cluster: KafkaCluster, start_client: StartClient) -> None:
    client = start_client(max_block_ms=60_000)
    topic = new_name()
    waiting = gevent.spawn(lambda: client.produce(Record(topic, b"v")).get(30))
    asked = requests_sent(client)
    wait_until(lambda: requests_sent(client) > asked + 2)
    assert not waiting.ready()
    kafka_cluster.create_topic(topic, partitions=3)
    created = monotonic()
    assert waiting.get(timeout=30).offset == 0
    took = monotonic() - created
    print(f"produced {took:.3f} s after the topic was there")
    assert took < 15, "a second, and room for a busy machine"


def test_a_partition_that_was_just_added_is_used_at_once(
    kafka_cluster: KafkaCluster, start_client: StartClient, make_topic: MakeTopic
) -> None:
    topic = make_topic(1)
    impatient = start_client(max_block_ms=500, topics=[{"name": topic}])
    wait_until_known(impatient, topic)
    with pytest.raises(UnknownPartition, match=r"Record\.partition is 1, but topic .* has 1 partition: expected an int from 0 to 0"):
        impatient.produce(Record(topic, b"v", partition=1))
    client = start_client()
    client.produce(Record(topic, b"v")).get(30)
    with kafka_cluster.admin() as admin:
        admin.create_partitions(topic, 4)
    results = client.produce_batch([Record(topic, b"v", partition=partition) for partition in range(4)]).get(30)
    assert [result.offset for result in Record.verify_batch(results)] == [1, 0, 0, 0]
    used = {client.produce(Record(topic, b"v", key=b"%d" % number)).get(30).partition for number in range(40)}
    assert used == {0, 1, 2, 3}


def test_a_deleted_topic_disappears_and_comes_back_anew_with_fewer_partitions(
    kafka_cluster: KafkaCluster, start_client: StartClient, read_back: ReadBack
) -> None:
    client = start_client(metadata_max_age_ms=300, max_block_ms=3_000)
    topic = new_name()
    kafka_cluster.create_topic(topic, partitions=20)
    client.produce_batch([Record(topic, b"old", partition=partition) for partition in range(20)]).get(30)
    with kafka_cluster.admin() as admin:
        admin.delete_topics([topic])
    wait_until(lambda: topic not in client.status().topics)
    with pytest.raises(UnknownTopic):
        client.produce(Record(topic, b"lost"))
    kafka_cluster.create_topic(topic, partitions=1)
    assert client.produce(Record(topic, b"new")).get(30).offset == 0
    assert [read.value for read in read_back(topic)] == [b"new"]


def test_a_topic_deleted_under_a_record_is_told_as_that(kafka_cluster: KafkaCluster, start_client: StartClient) -> None:
    client = start_client(linger_ms=1_500, request_timeout_ms=1_500, delivery_timeout_ms=5_000)
    kafka_cluster.create_topic(topic := new_name(), partitions=1)
    client.partitions(topic)
    delivery = client.produce(Record(topic, b"late"))
    with kafka_cluster.admin() as admin:
        admin.delete_topics([topic])
    error = delivery.exception(30)
    assert isinstance(error, DeliveryTimeout)
    assert error.error_code == 3
    assert "UNKNOWN_TOPIC_OR_PARTITION (3)" in str(error)
    assert "the topic may have been deleted; create it, or stop producing to it. They were not written" in str(error)


def test_partitions_tell_leaders_and_replicas(kafka_cluster: KafkaCluster, start_client: StartClient, make_topic: MakeTopic) -> None:
    topic = make_topic(6)
    told = start_client().partitions(topic)
    described = kafka_cluster.describe_topic(topic)
    assert [(each.topic, each.partition, each.leader, each.replicas) for each in told] == [
        (topic, each.index, each.leader, each.replicas) for each in described
    ]
    assert all(set(each.isr) == set(each.replicas) for each in told)


def test_configured_topics_are_known_before_the_first_record(start_client: StartClient, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    client = start_client(topics=[{"name": topic}])
    wait_until(lambda: topic in client.status().topics)


@pytest.mark.parametrize("configured", [True, False], ids=["configured", "first seen in the record"])
def test_a_first_record_after_wait_ready_waits_no_200_ms(
    configured: bool, kafka_cluster: KafkaCluster, start_client: StartClient, make_topic: MakeTopic
) -> None:
    """Where something waited that long, each client would; on a busy machine it is enough that one is quicker."""
    topic = make_topic(6)
    took = []

    def first_record() -> float:
        client = start_client(topics=[{"name": topic}] if configured else [])
        client.wait_ready(60)
        began = monotonic()
        client.produce(Record(topic, b"v")).get(30)
        took.append(monotonic() - began)
        client.stop()
        return took[-1]

    wait_until(lambda: first_record() < 0.2, 100)
    print([f"{seconds * 1000:.0f} ms" for seconds in took])
