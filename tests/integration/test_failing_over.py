"""Leaders die under load, and bootstrap addresses for good. On a cluster of its own, of three brokers that may be killed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from bench import failover
from klife import Client, Record
from klife.testing.cluster import KafkaCluster


@pytest.fixture(scope="module")
def mortal_cluster() -> Iterator[KafkaCluster]:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("KLIFE_TEST_BOOTSTRAP", raising=False)
        cluster = KafkaCluster(brokers=3)
        cluster.up()
    try:
        yield cluster
    finally:
        cluster.down()


def test_leaders_killed_under_load_cost_no_record_and_no_order(mortal_cluster: KafkaCluster) -> None:
    report = failover.run(mortal_cluster, kills=2)  # `python -m bench.failover` does so for three minutes
    assert report.flawless, report
    assert report.kills == 2
    assert report.delivered > 100
    assert report.failovers


def test_a_client_whose_bootstrap_broker_is_dead_goes_on_with_the_others(mortal_cluster: KafkaCluster) -> None:
    known, later = (f"bootstrap-{uuid.uuid4().hex[:8]}" for _ in range(2))
    mortal_cluster.create_topic(known, 3, 3)
    with Client.start(mortal_cluster.bootstrap_servers.split(",")[0]) as client:
        for partition in range(3):
            client.produce(Record(known, b"before", partition=partition)).get(30)
        mortal_cluster.kill(1)
        try:
            deliveries = [client.produce(Record(known, b"meanwhile", partition=partition)) for partition in range(3)]
            assert [delivery.get(60).offset for delivery in deliveries] == [1, 1, 1]
            mortal_cluster.create_topic(later, 1, 2)
            assert client.produce(Record(later, b"new")).get(60).offset == 0  # its leader had to be asked for
        finally:
            mortal_cluster.start(1)
