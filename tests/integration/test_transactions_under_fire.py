"""Transactions while owners are killed, actors, and brokers, and coordinators move, by themselves and with their brokers;
first as before KIP-890 (v1), then with that: what is committed is what was reported, whole and once. On a cluster
of its own, whose brokers may be killed.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from itertools import count

import gevent
import pytest

from klife import Client, Record
from klife.testing.cluster import KafkaCluster
from tests.support.coordinators import wait_for_moved_coordinators
from tests.support.own_cluster import own_cluster
from tests.support.reader import read_isolated
from tests.support.txn_book import Book, kill_actors
from tests.support.txn_feature import settle_on, version_of
from tests.support.waiting import wait_until

OWNERS = 16
TOPICS, PARTITIONS = 3, 30
MORE = 40  # transactions that are to commit before, between and after what befalls the brokers
PATIENCE = 60.0  # for each step; a broker takes half a minute to start where the machine is busy
pytestmark = [
    pytest.mark.timeout(400),  # each step has its own, and the cluster's start is one of them
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of kafka-python's import
]


@pytest.fixture(scope="module")
def mortal_cluster() -> Iterator[KafkaCluster]:
    with own_cluster(3) as cluster:
        yield cluster


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


def test_what_is_committed_is_what_was_reported_while_coordinators_move_and_brokers_are_killed(mortal_cluster: KafkaCluster) -> None:
    servers = mortal_cluster.bootstrap_servers
    settle_on(mortal_cluster, 1)
    topics = [f"fire-{uuid.uuid4().hex[:8]}" for _ in range(TOPICS)]
    for topic in topics:
        mortal_cluster.create_topic(topic, PARTITIONS, 3, config={"min.insync.replicas": "2"})
    pool = {"name": "money", "base_txn_id": f"fire-{uuid.uuid4().hex[:8]}", "pool_size": 8}
    with Client.start(servers, txn_pools=[pool]) as client:
        client.wait_ready(30.0)
        book = Book(client, topics, PARTITIONS, seed=2)
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
    book.check([read_isolated(servers, topic, committed=True) for topic in topics])
