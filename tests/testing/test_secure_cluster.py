"""KafkaCluster with secure listeners, as an independent client finds it."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented there, and not in its __all__
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from confluent_kafka.admin import AdminClient as ConfluentAdmin

from klife.testing.cluster import ClusterError, KafkaCluster
from tests.support.librdkafka import librdkafka_options, produced_by_librdkafka
from tests.support.reader import read_topic

LISTENERS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
CONFIG = {
    "listener.name.ssl.ssl.client.auth": "required",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
GUARDED = (ResourceType.TOPIC, "guarded", ResourcePatternType.LITERAL)


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster(brokers=1, listeners=LISTENERS, config=CONFIG) as running:
        running.create_topic("orders")
        yield running


def every_way(cluster: KafkaCluster) -> Iterator[tuple[str, dict[str, object]]]:
    """Each listener with all that it takes: a name for it, and librdkafka's options."""
    yield "ssl", librdkafka_options(cluster.bootstrap_servers_for("SSL"), cluster.tls_for("SSL"))
    for listener, mechanism, user in itertools.product(LISTENERS[2:], MECHANISMS, ("klife", "o,d=d")):
        servers = cluster.bootstrap_servers_for(listener)
        tls = cluster.tls_for(listener) if listener == "SASL_SSL" else None
        yield f"{listener} {mechanism} {user}", librdkafka_options(servers, tls, cluster.sasl_for(mechanism, user=user))


def test_an_independent_client_produces_over_each_listener_by_each_mechanism_and_as_each_user(cluster: KafkaCluster) -> None:
    ways = dict(every_way(cluster))
    assert {way: produced_by_librdkafka(options, "orders", way.encode()) for way, options in ways.items()} == dict.fromkeys(ways)
    assert [each.value.decode() for each in read_topic(cluster.bootstrap_servers, "orders", len(ways))] == list(ways)


def test_who_is_nobody_of_the_clusters_is_refused(cluster: KafkaCluster) -> None:
    def said(tls: dict[str, object] | None, sasl: dict[str, object] | None = None) -> str | None:
        listener = ("SASL_" if sasl else "") + ("SSL" if tls else "PLAINTEXT")
        options = librdkafka_options(cluster.bootstrap_servers_for(listener), tls, sasl)
        return produced_by_librdkafka(options, "orders", b"refused")

    stranger = cluster.certificates.another_authority()
    encrypted = cluster.certificates.client(key_password="a b")
    before = len(read_topic(cluster.bootstrap_servers, "orders"))
    assert "certificate" in str(said(cluster.tls_for("SSL", cert_file=None, key_file=None)))
    assert "certificate" in str(said(cluster.tls_for("SSL", **stranger.client())))
    assert "certificate" in str(said(cluster.tls_for("SSL", **cluster.certificates.client(expired=True))))
    assert "certificate verify failed" in str(said(cluster.tls_for("SSL", ca_file=stranger.ca_file)))
    assert "Authentication failed" in str(said(None, {**cluster.sasl_for("PLAIN"), "password": "wrong"}))
    assert "Authentication failed" in str(said(None, {**cluster.sasl_for("SCRAM-SHA-512", user="o,d=d"), "password": "p,a=fi"}))
    assert len(read_topic(cluster.bootstrap_servers, "orders")) == before
    assert said(cluster.tls_for("SSL", **encrypted)) is None


def test_users_are_known_to_access_control_by_their_names(cluster: KafkaCluster) -> None:
    cluster.create_topic("guarded")
    binding = AclBinding(*GUARDED, "User:klife", "*", AclOperation.WRITE, AclPermissionType.ALLOW)
    admin = ConfluentAdmin({"bootstrap.servers": cluster.bootstrap_servers})
    admin.create_acls([binding])[binding].result(20)
    servers = cluster.bootstrap_servers_for("SASL_PLAINTEXT")
    said = {
        user: produced_by_librdkafka(librdkafka_options(servers, sasl=cluster.sasl_for("PLAIN", user=user)), "guarded", b"")
        for user in ("klife", "o,d=d")
    }
    assert said["klife"] is None
    assert "TOPIC_AUTHORIZATION_FAILED" in str(said["o,d=d"])


def test_old_releases_have_what_they_can_and_say_what_they_can_not() -> None:
    with KafkaCluster(brokers=1, version="2.8", listeners=["SASL_PLAINTEXT"]) as cluster:  # with a ZooKeeper
        cluster.create_topic("orders")
        servers = cluster.bootstrap_servers_for("SASL_PLAINTEXT")
        for mechanism in MECHANISMS:
            options = librdkafka_options(servers, sasl=cluster.sasl_for(mechanism, user="o,d=d"))
            assert produced_by_librdkafka(options, "orders", b"") is None, mechanism
    with KafkaCluster(brokers=1, version="3.3", listeners=["SASL_SSL"]) as cluster:
        cluster.create_topic("orders")
        servers, tls = cluster.bootstrap_servers_for("SASL_SSL"), cluster.tls_for("SASL_SSL")
        assert produced_by_librdkafka(librdkafka_options(servers, tls, cluster.sasl_for("PLAIN")), "orders", b"") is None
        with pytest.raises(ClusterError, match=r"users of SCRAM-SHA-256 can not be made in Kafka 3\.3\.2: that takes Kafka 3\.5"):
            cluster.sasl_for("SCRAM-SHA-256")
    with pytest.raises(ClusterError, match=r"TLS need Kafka 3\.3 or newer here, and 2\.8\.2 is wanted"):
        KafkaCluster(brokers=1, version="2.8", listeners=["SSL"], backend="jars").up()


def test_what_is_not_there_is_named(cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no listener 'TLS': they are PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"):
        KafkaCluster(listeners=["TLS"])
    with pytest.raises(ValueError, match="no listener 'SASL_PLAINTEXT' with TLS"):
        cluster.tls_for("SASL_PLAINTEXT")
    with pytest.raises(ValueError, match="no mechanism 'GSSAPI': they are PLAIN, SCRAM-SHA-256"):
        cluster.sasl_for("GSSAPI")
    with pytest.raises(ValueError, match="no user 'root': they are 'klife', 'o,d=d'"):
        cluster.sasl_for("PLAIN", user="root")
    monkeypatch.setitem(sys.modules, "klife.testing.certificates", None)
    with pytest.raises(ClusterError, match=r'pip install "klife\[testing\]"'):
        KafkaCluster(brokers=1, listeners=["SSL"], backend="jars").up()
