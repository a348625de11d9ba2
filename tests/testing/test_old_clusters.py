"""KafkaCluster of releases before KRaft was ready: with ZooKeeper, and in the KRaft of those days."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient as ConfluentAdmin

from klife import Client, Record
from klife.admin import NewTopic
from klife.testing import all_produced, setup
from klife.testing.cluster import ClusterError, KafkaCluster
from klife.testing.cluster_processes import wait_until

KRAFT = {"process.roles": "broker,controller"}


def test_brokers_with_a_zookeeper_take_records_are_administrated_and_come_back_after_a_kill_and_a_pause() -> None:
    with KafkaCluster(brokers=2, version="2.4") as cluster:
        assert cluster.version == "2.4.1"
        for name in ("orders", "parcels"):
            cluster.create_topic(name, partitions=2, config={"min.insync.replicas": 1})
        with Client.start(cluster.bootstrap_servers) as client:
            client.produce_batch([Record("parcels", b"old", partition=0)] * 3).get(30)
            setup(client)
            client.produce(Record("orders", b"before", partition=0)).get(30)
            cluster.kill(2)
            cluster.start(2)  # waits for the end of the session: with its predecessor's registration there, the broker would exit
            client.produce(Record("orders", b"after", partition=0)).get(30)
            assert [record.value for record in all_produced(client, "orders")] == [b"before", b"after"]
        with cluster.admin() as admin:
            admin.create_partitions("orders", 3)  # by whichever of them is the controller
            admin.delete_topics(["parcels"])
            admin.create_topics([NewTopic("parcels", partitions=3, config={"min.insync.replicas": 1})])
        with Client.start(cluster.bootstrap_servers) as another:
            another.produce(Record("parcels", b"new", partition=0)).get(30)
        assert [record.value for record in all_produced(client, "parcels")] == [b"new"]  # though no id tells it from the old one
        topics = ConfluentAdmin({"bootstrap.servers": cluster.bootstrap_servers}).list_topics(timeout=10).topics
        assert len(topics["orders"].partitions) == 3
        assert len(topics["parcels"].partitions) == 3
        cluster.pause(1)
        assert wait_until(lambda: {each.leader for each in cluster.describe_topic("orders")} == {2}, timeout=30)
        cluster.resume(1)
        cluster.wait_until_ready()


def test_brokers_of_an_early_kraft_are_formatted_without_a_checkpoint() -> None:
    with KafkaCluster(brokers=2, version="3.0", config=KRAFT) as cluster:
        cluster.create_topic("orders", partitions=2, replication_factor=2)
        assert {each.leader for each in cluster.describe_topic("orders")} == {1, 2}


def test_a_zookeeper_that_ends_by_itself_is_an_error_with_the_end_of_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_JVM_PERFORMANCE_OPTS", "-XX:+NoSuchOption")
    with pytest.raises(ClusterError, match=r"(?s)ZooKeeper ended by itself, with status 1; .*Unrecognized VM option 'NoSuchOption'"):
        KafkaCluster(brokers=1, version="2.8", backend="jars").up()
