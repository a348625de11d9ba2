"""What access control denies, on a real cluster: told at once, with what to grant, and nobody beside it notices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from time import monotonic
from typing import Any

import gevent
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
    "listener.name.ssl.ssl.client.auth": "required",
}
PATIENCE = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster(brokers=1, listeners=["SASL_PLAINTEXT", "SSL"], config=CONFIG) as running:
        for name, operation in (("orders", AclOperation.WRITE), ("seen", AclOperation.DESCRIBE), ("hidden", None)):
            running.create_topic(name, partitions=2)
            if operation is not None:
                grant(running, "User:klife", name, operation)
        yield running


def grant(cluster: KafkaCluster, principal: str, topic: str, operation: AclOperation) -> None:
    admin = ConfluentAdmin({"bootstrap.servers": cluster.bootstrap_servers})
    binding = AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, principal, "*", operation, AclPermissionType.ALLOW)
    admin.create_acls([binding])[binding].result(PATIENCE)


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


@pytest.mark.parametrize("who", ["a certificate", "a token"])
def test_who_is_told_to_lack_a_permission_is_whom_it_has_to_be_granted_to(cluster: KafkaCluster, who: str) -> None:
    """Kafka's default names, of a subject and of a token's `sub`, tried by doing what the text says."""
    options: dict[str, Any] = {"sasl": cluster.sasl_for("OAUTHBEARER", user="o,d=d")}
    listener = "SASL_PLAINTEXT"
    if who == "a certificate":
        listener = "SSL"
        options = {"tls": cluster.tls_for(listener, **cluster.certificates.client("orders, of the shop"))}
    topic = f"granted-{listener}"
    cluster.create_topic(topic)
    with Client.start(cluster.bootstrap_servers_for(listener), **options) as client:
        with pytest.raises(ProduceError) as denied:
            client.produce(Record(topic, b"v"))
        told = re.search(r"grant (User:.*) \(the \w+ of .*\) Describe and Write on the topic", str(denied.value))
        assert told is not None, denied.value
        grant(cluster, told[1], topic, AclOperation.WRITE)
        with gevent.Timeout(PATIENCE):  # until the broker knows
            while True:
                try:
                    assert client.produce(Record(topic, b"v")).get(PATIENCE).error is None
                    break
                except ProduceError as error:  # while it does not, the producer has no id either: the cluster's ACL, told as well
                    assert f"grant {told[1]} (" in str(error)  # noqa: PT017
                    gevent.sleep(0.1)
