"""`AdminClient` on a real cluster: topics come, grow and go, and their settings change."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient as ConfluentAdmin
from confluent_kafka.admin import ConfigResource

from klife import AdminClient, AdminError, ConfigError
from klife.admin import NewTopic
from klife.testing.cluster import KafkaCluster
from tests.support.on_cluster import MakeTopic


@pytest.fixture
def admin(kafka_cluster: KafkaCluster) -> Iterator[AdminClient]:
    with AdminClient(kafka_cluster.bootstrap_servers.split(",")) as client:
        yield client


def seen_by_another_client(cluster: KafkaCluster, topic: str, name: str) -> str:
    """A topic's setting, as confluent-kafka is told of it."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    other = ConfluentAdmin({"bootstrap.servers": cluster.bootstrap_servers})  # it must live as long as its answer is waited for
    entries: Any = other.describe_configs([resource])[resource].result(20)
    value: str = entries[name].value
    return value


def test_a_topic_is_created_described_grown_and_deleted(admin: AdminClient) -> None:
    name = f"admin-{uuid.uuid4().hex[:12]}"
    admin.create_topics([NewTopic(name, partitions=2, replication_factor=3)])
    assert [(each.index, len(each.replicas), len(each.in_sync)) for each in admin.describe_topics([name])[name]] == [
        (0, 3, 3),
        (1, 3, 3),
    ]
    admin.create_partitions(name, 5)
    assert len(admin.describe_topics([name])[name]) == 5
    admin.delete_topics([name])
    with pytest.raises(AdminError, match="UNKNOWN_TOPIC_OR_PARTITION") as caught:
        admin.describe_topics([name])
    assert caught.value.error_code == 3


def test_settings_are_altered_one_by_one_and_go_back_to_their_defaults(
    admin: AdminClient, kafka_cluster: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic(1, retention_ms=3_600_000)
    before = admin.describe_configs([topic])[topic]
    assert (before["retention.ms"].value, before["retention.ms"].source) == ("3600000", "topic")
    assert before["cleanup.policy"].source == "default"

    admin.alter_configs(topic, {"cleanup.policy": "compact", "preallocate": True, "retention.ms": None})

    after = admin.describe_configs([topic])[topic]
    assert [after[name].value for name in ("cleanup.policy", "preallocate")] == ["compact", "true"]
    assert after["retention.ms"].source != "topic"
    assert seen_by_another_client(kafka_cluster, topic, "cleanup.policy") == "compact"


def test_a_wrong_setting_changes_nothing_and_the_brokers_words_are_told(admin: AdminClient, make_topic: MakeTopic) -> None:
    topic = make_topic(1)
    with pytest.raises(AdminError, match=r"cannot alter the configs of topic .*retention\.ms"):
        admin.alter_configs(topic, {"cleanup.policy": "compact", "retention.ms": "a week"})
    assert admin.describe_configs([topic])[topic]["cleanup.policy"].value == "delete"
    with pytest.raises(AdminError, match="UNKNOWN_TOPIC_OR_PARTITION"):
        admin.describe_configs(["no-such-topic"])


def test_one_name_is_no_list_of_names_and_addresses_are_checked(admin: AdminClient) -> None:
    for call in (admin.describe_topics, admin.describe_configs, admin.delete_topics):
        with pytest.raises(AdminError, match=r"topics is a str; expected a list of names: \['orders'\]"):
            call("orders")
    with pytest.raises(ConfigError, match="there is no port"):
        AdminClient("localhost")
