"""`KafkaCluster(backend="docker")` on a real engine: everything a cluster can do. Run by `make containers`; the
file's name keeps it from being collected by others.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import docker
import gevent
import pytest

from klife import Client, Record
from klife.testing.cluster import BackendUnavailable, KafkaCluster
from tests.support.reader import read_topic

READY_SECONDS = 300.0
PATIENCE = 120.0
SECURE = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    running = KafkaCluster(brokers=3, listeners=SECURE, backend="docker")
    running.up(READY_SECONDS)
    try:
        yield running
    finally:
        running.down()


def start_client(cluster: KafkaCluster, **options: object) -> Client:
    return Client.start(**{"bootstrap_servers": cluster.bootstrap_servers, "delivery_timeout_ms": int(PATIENCE * 1000), **options})


def containers() -> set[str]:
    return {each.id for each in docker.from_env().containers.list(all=True)}


def values(cluster: KafkaCluster, topic: str, at_least: int) -> list[bytes | None]:
    return [each.value for each in read_topic(cluster.bootstrap_servers, topic, at_least)]


def test_topics_are_made_described_and_written_to(cluster: KafkaCluster) -> None:
    cluster.create_topic("made", partitions=3, replication_factor=3)
    partitions = cluster.describe_topic("made")
    assert [sorted(each.in_sync) for each in partitions] == [[1, 2, 3]] * 3
    with start_client(cluster) as client:
        for index in range(30):
            client.produce(Record("made", value=b"%d" % index)).get()
    assert sorted(int(value or b"") for value in values(cluster, "made", 30)) == list(range(30))


@pytest.mark.parametrize("listener", SECURE)
def test_each_secure_listener_takes_records(cluster: KafkaCluster, listener: str) -> None:
    topic = f"secure-{listener}"
    cluster.create_topic(topic, partitions=1, replication_factor=3)
    options: dict[str, object] = {"bootstrap_servers": cluster.bootstrap_servers_for(listener)}
    if "SSL" in listener.split("_"):
        options["tls"] = cluster.tls_for(listener)
    if listener.startswith("SASL"):
        options["sasl"] = cluster.sasl_for("SCRAM-SHA-512")
    with start_client(cluster, **options) as client:
        assert client.produce(Record(topic, value=listener.encode())).get().offset == 0
    assert values(cluster, topic, 1) == [listener.encode()]


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_a_broker_ends_and_comes_back_and_nothing_is_lost(cluster: KafkaCluster, ending: str) -> None:
    topic = f"through-{ending}"
    cluster.create_topic(topic, partitions=3, replication_factor=3)
    with start_client(cluster) as client:
        sent = 0
        for step in (lambda: getattr(cluster, ending)(2), lambda: cluster.start(2, timeout=READY_SECONDS)):
            step()
            for _ in range(20):
                client.produce(Record(topic, value=b"%d" % sent)).get()
                sent += 1
    cluster.wait_until_in_sync(READY_SECONDS)
    assert sorted(int(value or b"") for value in values(cluster, topic, sent)) == list(range(sent))


def test_a_paused_broker_answers_nothing_until_it_is_resumed(cluster: KafkaCluster) -> None:
    cluster.create_topic("paused", partitions=3, replication_factor=3)
    with start_client(cluster) as client:
        client.produce(Record("paused", value=b"before")).get()
        cluster.pause(3)
        assert 3 in cluster.broker_ids
        futures = [client.produce(Record("paused", value=b"%d" % index, partition=index)) for index in range(3)]
        cluster.resume(3)
        assert len([future.get() for future in futures]) == 3
    cluster.wait_until_in_sync(READY_SECONDS)
    assert sorted(values(cluster, "paused", 4), key=str) == [b"0", b"1", b"2", b"before"]


def test_the_hub_turns_while_a_container_stops(cluster: KafkaCluster) -> None:
    turns = 0

    def turn() -> None:
        nonlocal turns
        while True:
            gevent.sleep(0.005)
            turns += 1

    ticker = gevent.spawn(turn)
    cluster.stop(1)
    ticker.kill()
    assert turns > 10
    cluster.start(1, timeout=READY_SECONDS)
    cluster.wait_until_in_sync(READY_SECONDS)


def test_logs_of_a_broker_are_had_over_its_restarts(cluster: KafkaCluster) -> None:
    assert cluster.log(2).count("Kafka Server started") >= 2


def test_nothing_is_left_by_a_cluster_that_is_down_also_of_one_with_a_paused_broker() -> None:
    before, networks = containers(), {each.id for each in docker.from_env().networks.list()}
    with KafkaCluster(brokers=1, backend="docker") as cluster:
        assert len(containers() - before) >= 1
        cluster.pause(1)
    assert containers() == before
    assert {each.id for each in docker.from_env().networks.list()} == networks


def test_a_property_that_no_broker_takes_is_told_and_nothing_is_left() -> None:
    before = containers()
    with pytest.raises(Exception, match="ended by themselves") as told:
        KafkaCluster(brokers=1, config={"num.partitions": "many"}, backend="docker").up(READY_SECONDS)
    assert "kafka-logs-" in "".join(told.value.__notes__)
    assert containers() == before


def test_a_version_that_has_no_image_is_told() -> None:
    with pytest.raises(BackendUnavailable, match=r"no image apache/kafka of Kafka before 3\.7\.0"):
        KafkaCluster(brokers=1, version="3.5", backend="docker").up()


def test_a_program_that_is_interrupted_leaves_no_container() -> None:
    before = containers()
    program = (
        "from klife.testing.cluster import KafkaCluster\nimport time\n"
        "with KafkaCluster(brokers=1, backend='docker'):\n    print('up', flush=True)\n    time.sleep(600)\n"
    )
    running = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert running.stdout is not None
    assert running.stdout.readline() == b"up\n"
    running.send_signal(signal.SIGINT)
    running.wait(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while containers() != before and time.monotonic() < deadline:
        time.sleep(0.2)
    assert containers() == before
