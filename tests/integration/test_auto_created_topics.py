"""Brokers with `auto.create.topics.enable`, as Kafka's are by default: producing to a topic makes it, and
nothing else does.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from klife import Client, Record, UnknownTopic
from klife.testing.cluster import KafkaCluster
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    config = {"auto.create.topics.enable": "true", "num.partitions": 2}
    with KafkaCluster(brokers=1, config=config) as cluster:
        yield cluster


def new_name(what: str) -> str:
    return f"{what}-{uuid.uuid4().hex[:8]}"


def topics_of(cluster: KafkaCluster) -> set[str]:
    with cluster.admin() as admin:
        return set(admin.describe_topics())


def refresh(client: Client) -> None:
    known = client._handle.engine.metadata
    seen = known.snapshots_seen
    known.request_refresh()
    wait_until(lambda: known.snapshots_seen > seen)


def test_a_topic_deleted_under_an_idle_client_stays_deleted_until_somebody_produces_to_it(cluster: KafkaCluster) -> None:
    deleted, kept, configured, looked_at = (new_name(what) for what in ("deleted", "kept", "configured", "looked-at"))
    with Client.start(cluster.bootstrap_servers, topics=[{"name": configured}, {"name": deleted}], max_block_ms=30_000) as client:
        for topic in (deleted, kept):  # which are made by that
            assert client.produce(Record(topic, b"v", partition=1)).get(30).offset == 0
        with cluster.admin() as admin:
            admin.delete_topics([deleted])
        refresh(client)
        wait_until(lambda: deleted not in client.status().topics)
        for _ in range(3):
            assert client.produce(Record(new_name("new"), b"v")).get(30).offset == 0
            refresh(client)
        impatient = Client.start(cluster.bootstrap_servers, max_block_ms=500)
        with impatient, pytest.raises(UnknownTopic):
            impatient.partitions(looked_at)
        assert not {deleted, configured, looked_at} & topics_of(cluster)
        assert client.produce(Record(deleted, b"again", partition=0)).get(30).offset == 0
        assert deleted in topics_of(cluster)


def test_records_in_one_batch_make_all_their_topics(cluster: KafkaCluster) -> None:
    topics = [new_name("batch") for _ in range(5)]
    with Client.start(cluster.bootstrap_servers) as client:
        results = client.produce_batch([Record(topic, b"v", partition=0) for topic in topics]).get(60)
        assert [result.offset for result in Record.verify_batch(results)] == [0] * 5
