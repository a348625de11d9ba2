"""What access control denies, on a real cluster: told at once, with what to grant, and nobody beside it notices."""

from __future__ import annotations

import re
import uuid
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
from gevent import get_hub

from klife import Client, ProduceError, Record, TransactionAborted, TransactionError
from klife.testing.cluster import KafkaCluster
from tests.support.reader import held_up, read_isolated
from tests.support.waiting import wait_until

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
        grant(running, "User:klife", "granted-", AclOperation.WRITE, ResourceType.TRANSACTIONAL_ID)
        yield running


def grant(cluster: KafkaCluster, principal: str, name: str, operation: AclOperation, kind: ResourceType = ResourceType.TOPIC) -> None:
    """On a topic; or on all transactional ids that begin so."""
    how = ResourcePatternType.LITERAL if kind is ResourceType.TOPIC else ResourcePatternType.PREFIXED
    binding = AclBinding(kind, name, how, principal, "*", operation, AclPermissionType.ALLOW)
    admin = ConfluentAdmin({"bootstrap.servers": cluster.bootstrap_servers})
    get_hub().threadpool.apply(lambda: admin.create_acls([binding])[binding].result(PATIENCE))


def start(cluster: KafkaCluster, **options: Any) -> Client:
    client = Client.start(cluster.bootstrap_servers_for("SASL_PLAINTEXT"), sasl=cluster.sasl_for("SCRAM-SHA-256"), **options)
    client.wait_ready(PATIENCE)
    return client


@pytest.mark.parametrize(("topic", "to_grant"), [("hidden", "Describe and Write on the topic"), ("seen", "Write on the topic")])
def test_a_topic_that_is_denied_fails_at_once_with_what_to_grant_and_its_neighbours_go_on(
    cluster: KafkaCluster, topic: str, to_grant: str
) -> None:
    with start(cluster) as client:
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


def test_a_transactional_id_that_is_denied_is_said_by_the_first_transaction_and_one_after_the_grant_goes(
    cluster: KafkaCluster,
) -> None:
    base = f"late-{uuid.uuid4().hex[:8]}"
    with start(cluster, txn_pools=[{"name": "money", "base_txn_id": base, "pool_size": 1}]) as client:
        began = monotonic()
        with (
            pytest.raises(TransactionError, match=r"Grant User:klife.*Write on the transactional id.*base_txn_id") as told,
            client.transaction(),
        ):
            raise AssertionError("the block was entered")
        assert monotonic() - began < 5.0  # and not after checkout_timeout_ms
        assert (told.value.error_code, told.value.retriable, told.value.possibly_committed) == (53, False, False)
        assert client.produce(Record("orders", b"v")).get(PATIENCE).error is None
        grant(cluster, "User:klife", base, AclOperation.WRITE, ResourceType.TRANSACTIONAL_ID)
        wait_until(lambda: goes(client), PATIENCE)  # brokers hear of it one after the other
    assert b"granted" in read_isolated(cluster.bootstrap_servers, "orders", committed=True)


def goes(client: Client) -> bool:
    try:
        client.produce_batch_txn([Record("orders", b"granted")])
    except TransactionError:
        return False
    return True


@pytest.mark.parametrize("topic", ["hidden", "seen"])
def test_a_topic_that_is_denied_ends_its_transaction_with_what_to_grant_and_the_next_goes(cluster: KafkaCluster, topic: str) -> None:
    value = uuid.uuid4().hex.encode()

    def work(client: Client) -> None:
        client.produce(Record("orders", b"no " + value)).get(PATIENCE)
        client.produce(Record(topic, b"v"))

    with start(cluster, txn_pools=[{"name": "money", "base_txn_id": f"granted-{uuid.uuid4().hex[:8]}", "pool_size": 1}]) as client:
        with pytest.raises((TransactionAborted, ProduceError), match=f"{topic}.*[Gg]rant User:klife.*Write on the topic") as told:
            client.transaction(work, client, retries=3)
        assert told.value.error_code == 29
        assert not told.value.retriable
        client.produce_batch_txn([Record("orders", b"yes " + value)])
    wait_until(lambda: not held_up(cluster.bootstrap_servers, ["orders"]), PATIENCE)
    seen = read_isolated(cluster.bootstrap_servers, "orders", committed=True)
    assert [each for each in seen if each.endswith(value)] == [b"yes " + value]
