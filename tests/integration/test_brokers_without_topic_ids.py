"""Kafka before 2.8 has no topic ids: that a topic was deleted and made anew shows in its leader epochs only,
which begin at 0 again.
"""

from __future__ import annotations

import uuid

from klife import Client, Record
from klife.admin import AdminError
from klife.protocol.error_codes import ErrorCode
from klife.testing.cluster import KafkaCluster
from tests.support.reader import read_topic
from tests.support.waiting import wait_until

PARTITIONS = 4


def created(cluster: KafkaCluster, topic: str) -> bool:
    """Create the topic; False while one of that name is still being deleted, of which these brokers know
    nothing any more.
    """
    try:
        cluster.create_topic(topic, PARTITIONS, config={"min.insync.replicas": 1})
    except AdminError as error:
        if error.error_code != ErrorCode.TOPIC_ALREADY_EXISTS:
            raise
        return False
    return True


def test_a_topic_made_anew_under_an_idle_client_takes_its_next_records() -> None:
    topic = f"anew-{uuid.uuid4().hex[:8]}"
    with KafkaCluster(brokers=2, version="2.4") as cluster:
        assert created(cluster, topic)
        with Client.start(cluster.bootstrap_servers) as client:

            def produce(value: bytes) -> list[int | None]:
                records = [Record(topic, value, partition=partition) for partition in range(PARTITIONS)]
                return [result.offset for result in Record.verify_batch(client.produce_batch(records).get(90))]

            assert produce(b"old") == [0] * PARTITIONS
            cluster.stop(1)  # broker 2 leads all, under a later epoch
            cluster.start(1)
            assert produce(b"old") == [1] * PARTITIONS
            assert {(each.leader, each.leader_epoch > 0) for each in client.partitions(topic)} >= {(2, True)}
            with cluster.admin() as admin:
                admin.delete_topics([topic])
            wait_until(lambda: created(cluster, topic))
            described = cluster.describe_topic(topic)
            assert {each.leader for each in described} == {1, 2}
            assert [produce(b"new:%d" % number) for number in range(3)] == [[number] * PARTITIONS for number in range(3)]
            assert [each.leader for each in client.partitions(topic)] == [each.leader for each in described]
        found = sorted((read.partition, read.offset, read.value) for read in read_topic(cluster.bootstrap_servers, topic))
        assert found == [(partition, number, b"new:%d" % number) for partition in range(PARTITIONS) for number in range(3)]
