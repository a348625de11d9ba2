"""What access control denies, on a real cluster: told at once, with what to grant, and nobody beside it notices."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented there, and not in its __all__
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from confluent_kafka.admin import AdminClient as ConfluentAdmin

from klife import Client, ProduceError, Record
from klife.testing.cluster import KafkaCluster

CONFIG = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",  # whoever comes by the plaintext listener
}
PATIENCE = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster(brokers=1, listeners=["SASL_PLAINTEXT"], config=CONFIG) as running:
        admin = ConfluentAdmin({"bootstrap.servers": running.bootstrap_servers})
        for name, operation in (("orders", AclOperation.WRITE), ("seen", AclOperation.DESCRIBE), ("hidden", None)):
            running.create_topic(name, partitions=2)
            if operation is not None:
                rule = (ResourceType.TOPIC, name, ResourcePatternType.LITERAL, "User:klife", "*", operation, AclPermissionType.ALLOW)
                binding = AclBinding(*rule)
                admin.create_acls([binding])[binding].result(PATIENCE)
        yield running


@pytest.mark.parametrize(("topic", "to_grant"), [("hidden", "Describe and Write on the topic"), ("seen", "Write on the topic")])
def test_a_topic_that_is_denied_fails_at_once_with_what_to_grant_and_its_neighbours_go_on(
    cluster: KafkaCluster, topic: str, to_grant: str
) -> None:
    with Client.start(cluster.bootstrap_servers_for("SASL_PLAINTEXT"), sasl=cluster.sasl_for("SCRAM-SHA-256")) as client:
        client.wait_ready(PATIENCE)
        Record.verify_batch(client.produce_batch([Record("orders", b"v", partition=each) for each in (0, 1)]).get(PATIENCE))
        on_its_way = client.produce_batch([Record("orders", b"v", partition=each) for each in (0, 1)])
        began = monotonic()
        with pytest.raises(ProduceError, match=f"{topic}.*TOPIC_AUTHORIZATION_FAILED.*grant User:klife {to_grant}"):
            Record.verify_batch([client.produce(Record(topic, b"v")).get(PATIENCE)])
        assert monotonic() - began < 5.0  # and not at the record's deadline
        Record.verify_batch(on_its_way.get(PATIENCE))
        assert {broker.connects for broker in client.status().brokers} == {1}
