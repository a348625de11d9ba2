"""Leaders and coordinators die or move under load, that of transactions too (first as before KIP-890, v1, then with
that), and bootstrap addresses die for good. On a cluster of its own, of three brokers that may be killed.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from itertools import count

import gevent
import pytest

from bench import failover
from klife import Client, Crc32Partitioner, DeliveryTimeout, Partitioner, Phash2Partitioner, RandomPartitioner, Record
from klife.testing.cluster import KafkaCluster
from tests.support.coordinators import wait_for_moved_coordinators
from tests.support.own_cluster import own_cluster
from tests.support.reader import held_up, read_isolated
from tests.support.txn_book import Book, kill_actors
from tests.support.txn_feature import settle_on, version_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of kafka-python's import


@pytest.fixture(scope="module")
def mortal_cluster() -> Iterator[KafkaCluster]:
    with own_cluster(3) as cluster:
        yield cluster


def test_leaders_killed_under_load_cost_no_record_and_no_order(mortal_cluster: KafkaCluster) -> None:
    # `python -m bench.failover` does so for three minutes, with more load.
    report = failover.run(mortal_cluster, kills=2, workers=6, rest=0.5)
    assert report.flawless, report
    assert report.kills == 2
    assert report.delivered > 100
    assert report.failovers


def test_a_client_whose_bootstrap_broker_is_dead_goes_on_with_the_others(mortal_cluster: KafkaCluster) -> None:
    known, later = (f"bootstrap-{uuid.uuid4().hex[:8]}" for _ in range(2))
    mortal_cluster.create_topic(known, 3, 3)
    with Client.start(mortal_cluster.bootstrap_servers.split(",")[0]) as client:
        for partition in range(3):
            client.produce(Record(known, b"before", partition=partition)).get(30)
        mortal_cluster.kill(1)
        try:
            deliveries = [client.produce(Record(known, b"meanwhile", partition=partition)) for partition in range(3)]
            assert [delivery.get(60).offset for delivery in deliveries] == [1, 1, 1]
            mortal_cluster.create_topic(later, 1, 2)
            assert client.produce(Record(later, b"new")).get(60).offset == 0  # its leader had to be asked for
        finally:
            mortal_cluster.start(1)


OWNERS = 16
TOPICS, PARTITIONS = 3, 30
MORE = 40  # transactions that are to commit before, between and after what befalls the brokers
PATIENCE = 120.0  # for each step; a broker takes a minute to start where the machine is busy


def wait_for_more(book: Book) -> None:
    committed = book.counts["committed"]
    wait_until(lambda: book.counts["committed"] >= committed + MORE, PATIENCE)


def move_coordinators(cluster: KafkaCluster, book: Book) -> None:
    """Once, under transactions v1; then have the cluster settle on v2."""
    wait_for_more(book)
    assert version_of(book.client) == 1
    wait_for_moved_coordinators(cluster, PATIENCE)
    wait_for_more(book)
    settle_on(cluster, 2)


def kill_brokers(cluster: KafkaCluster, book: Book) -> None:
    """Two of three, one after the other; the second stays away. Who connects to the first anew hears of v2."""
    wait_for_more(book)
    cluster.kill(1)
    cluster.start(1)
    cluster.wait_until_in_sync(PATIENCE)
    wait_for_more(book)
    wait_until(lambda: version_of(book.client) == 2, PATIENCE)
    wait_for_moved_coordinators(cluster, PATIENCE)
    wait_for_more(book)
    cluster.kill(2)
    wait_for_more(book)


@pytest.mark.timeout(800)  # each step has its own
def test_what_is_committed_is_what_was_reported_while_coordinators_move_and_brokers_are_killed(mortal_cluster: KafkaCluster) -> None:
    servers = mortal_cluster.bootstrap_servers
    settle_on(mortal_cluster, 1)
    topics = [f"fire-{uuid.uuid4().hex[:8]}" for _ in range(TOPICS)]
    for topic in topics:
        mortal_cluster.create_topic(topic, PARTITIONS, 3, config={"min.insync.replicas": "2"})
    pool = {"name": "money", "base_txn_id": f"fire-{uuid.uuid4().hex[:8]}", "pool_size": 8}
    with Client.start(servers, txn_pools=[pool]) as client:
        client.wait_ready(30.0)
        book = Book(client, topics, PARTITIONS, seed=2, pause=0.1)  # else they take the cores that brokers need to start
        owners = [gevent.spawn(book.run, owner, count()) for owner in range(OWNERS)]
        over = gevent.event.Event()
        killer = gevent.spawn(kill_actors, client, random.Random(5), over)
        move_coordinators(mortal_cluster, book)
        kill_brokers(mortal_cluster, book)
        book.over = True
        over.set()
        killer.get()
        gevent.joinall(owners, timeout=PATIENCE, raise_error=True)
        assert all(owner.ready() for owner in owners), f"owners still wait\n{client.tree()}\n{client.status()}"
        wait_until(lambda: client.status().txn_pools[0].open == 0, PATIENCE)
        book.fates["last"] = "committed"
        with client.transaction():
            client.produce_batch([Record(topic, b"last", partition=0) for topic in topics])
    wait_until(lambda: not held_up(servers, topics), PATIENCE)
    book.check([read_isolated(servers, topic, committed=True) for topic in topics])
    mortal_cluster.start(2)
    mortal_cluster.wait_until_in_sync(PATIENCE)


# with a broker away for good: what comes last in this module

AWAY = 3


@pytest.fixture(scope="module")
def lost_topic(mortal_cluster: KafkaCluster) -> str:
    """Six partitions without a second replica, of which the broker that goes away leads two."""
    mortal_cluster.create_topic(name := f"lost-{uuid.uuid4().hex[:8]}", 6, 1)
    return name


@pytest.fixture(scope="module")
def strict_topic(mortal_cluster: KafkaCluster) -> str:
    """All three brokers have to have what is written."""
    mortal_cluster.create_topic(name := f"strict-{uuid.uuid4().hex[:8]}", 1, 3, config={"min.insync.replicas": 3})
    return name


@pytest.fixture(scope="module")
def two_brokers(mortal_cluster: KafkaCluster, lost_topic: str, strict_topic: str) -> KafkaCluster:
    mortal_cluster.stop(AWAY)
    return mortal_cluster


@pytest.mark.parametrize(
    "partitioner", [RandomPartitioner(), Crc32Partitioner(), Phash2Partitioner()], ids=lambda each: type(each).__name__
)
def test_records_without_a_key_go_where_there_are_leaders(lost_topic: str, two_brokers: KafkaCluster, partitioner: Partitioner) -> None:
    with Client.start(two_brokers.bootstrap_servers, metadata_max_age_ms=300, delivery_timeout_ms=30_000) as client:

        def leaders() -> list[int | None]:
            return [each.leader for each in client.partitions(lost_topic)]

        wait_until(lambda: leaders().count(None) == 2, timeout=60)
        results = client.produce_batch([Record(lost_topic, b"v") for _ in range(200)], partitioner=partitioner).get(60)
        assert {result.partition for result in Record.verify_batch(results)} == {p for p, leader in enumerate(leaders()) if leader}


def test_too_few_replicas_are_told_with_their_code_and_what_helps(
    lost_topic: str, strict_topic: str, two_brokers: KafkaCluster
) -> None:
    with Client.start(two_brokers.bootstrap_servers) as client:
        client.produce(Record(lost_topic, b"v")).get(60)  # the brokers give out producer ids
    # One attempt and no other, at a leader that is there: whatever time its answer takes, none is under way when the
    # record's time is over.
    once = {"retry_backoff_ms": 10_000, "retry_backoff_max_ms": 10_000, "metadata_max_age_ms": 300}
    with Client.start(two_brokers.bootstrap_servers, delivery_timeout_ms=8_000, request_timeout_ms=6_000, **once) as client:
        wait_until(lambda: client.partitions(strict_topic)[0].leader not in (None, AWAY), timeout=60)
        error = client.produce(Record(strict_topic, b"v")).exception(60)
        assert isinstance(error, DeliveryTimeout)
        assert (error.error_code, error.possibly_persisted) == (19, False)
        assert "NOT_ENOUGH_REPLICAS (19)" in str(error)
        assert "bring brokers back, or lower the topic's min.insync.replicas" in str(error)
