"""Starting, finding, supervising, stopping: a client's life, on a cluster that is there."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from time import monotonic

import gevent
import pytest

from klife import Client, ClientClosed, ClientConfig, ConfigError, FlushTimeout, NoSuchClient, Record, StopReport
from klife.testing.cluster import KafkaCluster
from klife_supervision import Supervisor, TreeNode
from tests.support.on_cluster import MakeTopic, ReadBack, StartClient
from tests.support.waiting import wait_until


def worker_nodes(node: TreeNode) -> Iterator[TreeNode]:
    for child in node.children:
        yield from worker_nodes(child)
    if node.kind == "worker":
        yield node


def test_a_client_starts_from_keywords_a_dict_a_config_and_dotted_names(
    kafka_cluster: KafkaCluster, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    servers = kafka_cluster.bootstrap_servers
    topic = make_topic(1)
    for source in (
        servers,
        servers.split(","),
        {"bootstrap_servers": servers, "linger_ms": 1},
        ClientConfig(bootstrap_servers=servers.split(",")),
        ClientConfig.from_properties({"bootstrap.servers": servers, "linger.ms": 1}),
        ClientConfig.from_env(environ={"KLIFE_BOOTSTRAP_SERVERS": servers}),
    ):
        with Client.start(source, acks="all") as client:
            client.produce(Record(topic, b"v")).get(30)
    assert len(read_back(topic)) == 6


def test_stop_delivers_what_is_queued_and_reports_it(kafka_cluster: KafkaCluster, make_topic: MakeTopic, read_back: ReadBack) -> None:
    topic = make_topic(3)
    client = Client.start(kafka_cluster.bootstrap_servers, linger_ms=20_000)
    deliveries = [client.produce(Record(topic, b"%d" % number)) for number in range(500)]
    began = monotonic()
    report = client.stop()
    assert monotonic() - began < 15
    assert report == StopReport(delivered=500, failed=0, undelivered=0)
    assert all(delivery.done() for delivery in deliveries)
    assert len(read_back(topic)) == 500
    assert client.stop() == report


def test_a_stopped_client_refuses_records_and_says_why(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client(name=f"stopped-{uuid.uuid4().hex[:6]}")
    topic = make_topic(1)
    client.produce(Record(topic, b"v")).get(30)
    client.stop()
    for call in (
        lambda: client.produce(Record(topic, b"v")),
        lambda: client.produce_async(Record(topic, b"v")),
        lambda: client.produce_batch([Record(topic, b"v")]),
        lambda: client.flush(),
        lambda: client.partitions(topic),
    ):
        with pytest.raises(ClientClosed, match="takes no more records: it was stopped"):
            call()
    with pytest.raises(NoSuchClient, match="there is no client named 'stopped-"):
        Client.get(client.name)
    assert client.status().state == "closed"


def test_callers_that_wait_when_the_client_stops_are_answered(kafka_cluster: KafkaCluster, make_topic: MakeTopic) -> None:
    topic = make_topic(1)
    client = Client.start(kafka_cluster.bootstrap_servers, linger_ms=20_000)
    client.partitions(topic)
    delivered = gevent.spawn(lambda: client.produce(Record(topic, b"v")).get())
    wait_until(lambda: client.status().producers[0].unsettled == 1)
    unknown = gevent.spawn(client.produce, Record("no-such-topic", b"v"))
    gevent.sleep(0)
    client.stop()
    assert delivered.get(timeout=5).offset == 0
    with pytest.raises(ClientClosed, match="takes no more records: it was stopped"):
        unknown.get(timeout=5)


def test_waiting_for_a_cluster_that_is_away_ends_when_the_client_stops() -> None:
    client = Client.start("127.0.0.1:1")
    waiting = [gevent.spawn(client.wait_ready, 60), gevent.spawn(client.produce, Record("orders", b"v"))]
    gevent.idle()  # both wait
    client.stop(1)
    for waiter in waiting:
        with pytest.raises(ClientClosed):
            waiter.get(timeout=5)


def test_a_flush_that_ends_first_tells_how_many_are_left(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client()
    topic = make_topic(1)
    client.partitions(topic)
    for _ in range(7):
        client.produce_async(Record(topic, b"v"))
    with pytest.raises(FlushTimeout, match="7 records were not settled within 0 s") as raised:
        client.flush(0)
    assert raised.value.undelivered == 7
    client.flush(30)
    assert client.status().producers[0].delivered == 7


def test_a_client_is_found_by_its_name_and_the_name_is_taken(start_client: StartClient, make_topic: MakeTopic) -> None:
    name = f"orders-{uuid.uuid4().hex[:6]}"
    start_client(name=name)
    topic = make_topic(1)
    assert Client.get(name).produce(Record(topic, b"v")).get(30).offset == 0
    with pytest.raises(ConfigError, match=r"there is a client named 'orders-.*' in this process already"):
        start_client(name=name)


def test_a_client_lives_under_the_users_supervisor_and_survives_its_restart(
    kafka_cluster: KafkaCluster, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    name = f"supervised-{uuid.uuid4().hex[:6]}"
    topic = make_topic(1)
    spec = Client.child_spec(kafka_cluster.bootstrap_servers, name=name)
    supervisor = Supervisor.start([spec], strategy="one_for_one")
    client = Client.get(name)
    client.wait_ready(30)
    assert client.produce(Record(topic, b"first")).get(30).offset == 0
    before = client.status().producers[0].producer_id
    (node,) = supervisor.tree().children
    assert (node.id, node.kind) == (name, "supervisor")
    node.kill()
    wait_until(lambda: supervisor.tree().children[0].restarts == 1)
    assert client.produce(Record(topic, b"second")).get(30).offset == 1
    assert client.status().producers[0].producer_id != before, "a client of its own, with new ids"
    for _ in range(20):
        client.produce_async(Record(topic, b"third"))
    supervisor.stop(timeout=40)
    assert [read.value for read in read_back(topic)] == [b"first", b"second"] + [b"third"] * 20
    with pytest.raises(NoSuchClient):
        Client.get(name)


def test_a_client_under_a_supervisor_needs_a_name() -> None:
    with pytest.raises(ConfigError, match="a client under a supervisor needs one"):
        Client.child_spec("localhost:9092")


def test_the_tree_prints_every_actor(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client()
    topic = make_topic(3)
    client.produce_batch([Record(topic, b"v", partition=partition) for partition in range(3)]).get(30)
    tree = client.tree()
    assert (tree.kind, tree.restarts) == ("supervisor", 0)
    ids = [str(node.id) for node in worker_nodes(tree)]
    assert {"metadata", "producer", "broker 1", "broker 2", "broker 3", "batcher 1.0", "batcher 2.0", "batcher 3.0"} <= set(ids)
    assert all(node in str(tree) for node in ids)


def test_the_status_is_a_value_that_tells_what_happened(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client(name=f"told-{uuid.uuid4().hex[:6]}", linger_ms=20_000)
    topic = make_topic(3)
    client.partitions(topic)
    for partition in range(3):
        client.produce_async(Record(topic, bytes(100), partition=partition))
    before = client.status()
    client.flush(30)
    after = client.status()
    assert (before.producers[0].unsettled, before.producers[0].delivered) == (3, 0)
    assert (after.producers[0].unsettled, after.producers[0].delivered) == (0, 3)
    assert before.buffered_bytes > 300
    assert after.buffered_bytes == 0
    assert after.state == "running"
    assert after.cluster_id
    assert topic in after.topics
    ready = [broker for broker in after.brokers if broker.node_id is not None and broker.state == "ready"]
    assert len(ready) == 3
    assert {broker.connects for broker in ready} == {1}, "one connection a broker"
    assert client.name in repr(client)
