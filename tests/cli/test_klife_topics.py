"""`klife topics`: one line for each partition."""

from __future__ import annotations

from klife.testing.cluster import KafkaCluster
from tests.support.cli_command import NewTopic, RunKlife


def test_every_partition_is_listed_with_its_leader_and_replicas(
    run_klife: RunKlife, kafka_cluster: KafkaCluster, new_topic: NewTopic
) -> None:
    topic = new_topic(partitions=3)

    done = run_klife("topics", "--bootstrap", kafka_cluster.bootstrap_servers)

    assert done.returncode == 0, done.stderr
    headings, *lines = (line.split() for line in done.stdout.splitlines())
    assert headings == ["TOPIC", "PARTITION", "LEADER", "REPLICAS", "IN-SYNC"]
    found = [line[1:] for line in lines if line[0] == topic]
    expected = [
        [str(partition.index), str(partition.leader), ",".join(map(str, partition.replicas)), ",".join(map(str, partition.in_sync))]
        for partition in kafka_cluster.describe_topic(topic)
    ]
    assert found == expected
    assert len(found) == 3
