"""`klife topics`: one line for each partition; topics are created, described, changed and deleted."""

from __future__ import annotations

import uuid
from pathlib import Path

from klife.testing.cluster import KafkaCluster
from tests.support.cli_command import NewTopic, RunKlife

HEADINGS = ["TOPIC", "PARTITION", "LEADER", "REPLICAS", "IN-SYNC"]


def test_every_partition_is_listed_with_its_leader_and_replicas(
    run_klife: RunKlife, kafka_cluster: KafkaCluster, new_topic: NewTopic
) -> None:
    topic = new_topic(partitions=3)

    done = run_klife("topics", "--bootstrap", kafka_cluster.bootstrap_servers)

    assert done.returncode == 0, done.stderr
    headings, *lines = (line.split() for line in done.stdout.splitlines())
    assert headings == HEADINGS
    found = [line[1:] for line in lines if line[0] == topic]
    expected = [
        [str(partition.index), str(partition.leader), ",".join(map(str, partition.replicas)), ",".join(map(str, partition.in_sync))]
        for partition in kafka_cluster.describe_topic(topic)
    ]
    assert found == expected
    assert len(found) == 3


def test_a_topic_from_its_creation_to_its_end(run_klife: RunKlife, kafka_cluster: KafkaCluster, tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text(f"bootstrap.servers={kafka_cluster.bootstrap_servers}\n")
    here = ["--config", str(file)]
    name = f"cli-{uuid.uuid4().hex[:8]}"

    made = run_klife("topics", "create", name, "--partitions", "2", "--set", "retention.ms=3600000", *here)
    assert made.returncode == 0, made.stderr
    headings, *lines = (line.split() for line in made.stdout.splitlines())
    assert headings == HEADINGS
    assert [line[:2] for line in lines] == [[name, "0"], [name, "1"]]

    again = run_klife("topics", "create", name, *here)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith(f"klife: cannot create topic '{name}': ")
    assert again.stderr.count("\n") == 1

    changed = run_klife("topics", "configs", name, "--set", "max.message.bytes=2000", "--reset", "retention.ms", "--own", *here)
    assert [line.split() for line in changed.stdout.splitlines()] == [
        ["SETTING", "VALUE", "SET-BY"],
        ["max.message.bytes", "2000", "topic"],
    ], changed.stderr
    described = run_klife("topics", "describe", name, *here)
    assert described.stdout == f"{made.stdout}{name}: max.message.bytes=2000\n"

    asked = run_klife("topics", "delete", name, *here, text="n\n")
    assert asked.returncode == 1
    assert f"Delete {name}, 2 partitions in all, with all records?" in asked.stderr
    gone = run_klife("topics", "delete", name, "--yes", *here)
    assert (gone.returncode, gone.stderr) == (0, f"deleted {name}\n")
    missing = run_klife("topics", "describe", name, *here)
    assert missing.returncode == 1
    assert missing.stderr.startswith(f"klife: topic '{name}': ")
    assert missing.stderr.count("\n") == 1


def test_a_setting_without_a_value_is_told_before_anything_is_asked(run_klife: RunKlife) -> None:
    done = run_klife("topics", "create", "orders", "--set", "retention.ms", "--bootstrap", "127.0.0.1:1")
    assert done.stderr == "klife: --set 'retention.ms': give NAME=VALUE, such as retention.ms=3600000\n"
    assert done.returncode == 1
