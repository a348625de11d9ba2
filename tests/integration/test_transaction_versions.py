"""A broker of 4.3 with transactions as before KIP-890, and with that; and the change from one to the other under
a running client.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from klife import Client, Record
from klife.testing.cluster import KafkaCluster
from tests.support.own_cluster import own_cluster
from tests.support.reader import held_up, read_isolated
from tests.support.txn_feature import settle_on, version_of
from tests.support.waiting import wait_until

PATIENCE = 60.0
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SOON = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": 500}  # and not each ten seconds


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with own_cluster(1, config=SOON) as cluster:
        yield cluster


@pytest.fixture
def topic(cluster: KafkaCluster) -> str:
    name = f"versions-{uuid.uuid4().hex[:8]}"
    cluster.create_topic(name, 3)
    return name


@pytest.fixture
def start_client(cluster: KafkaCluster) -> Iterator[Callable[..., Client]]:
    started: list[Client] = []

    def start(**pool: Any) -> Client:
        started.append(Client.start(cluster.bootstrap_servers, txn_pools=[{"name": "money", **pool}]))
        started[-1].wait_ready(PATIENCE)
        return started[-1]

    yield start
    for client in started:
        client.stop(10.0)


def some(client: Client, topic: str, name: str) -> None:
    """A transaction that commits, one that aborts, and an empty one."""
    for how in ("yes", "no"):
        with client.transaction() as txn:
            client.produce_batch([Record(topic, f"{name} {how}".encode(), partition=partition) for partition in range(3)]).get(PATIENCE)
            if how == "no":
                txn.abort()
    with client.transaction():
        pass


def sees(cluster: KafkaCluster, topic: str, *names: str) -> None:
    wait_until(lambda: not held_up(cluster.bootstrap_servers, [topic]), PATIENCE)
    found = read_isolated(cluster.bootstrap_servers, topic, committed=True)
    assert found == sorted(f"{name} yes".encode() for name in names for _ in range(3))


@pytest.mark.parametrize("version", [1, 2])
def test_a_transaction_that_was_open_for_too_long_is_aborted_and_may_be_run_again(
    cluster: KafkaCluster, start_client: Callable[..., Client], topic: str, version: int
) -> None:
    settle_on(cluster, version)
    client = start_client(txn_timeout_ms=1_000, delivery_timeout_ms=1_000, request_timeout_ms=1_000)
    attempts: list[int] = []

    def slow() -> str:
        attempts.append(1)
        client.produce(Record(topic, b"%d" % len(attempts), partition=0)).get(PATIENCE)
        if len(attempts) == 1:
            wait_until(lambda: held_up(cluster.bootstrap_servers, [topic]) == [], PATIENCE)
        return "done"

    assert client.transaction(slow, retries=1) == "done"
    assert len(attempts) == 2
    assert version_of(client) == version
    wait_until(lambda: not held_up(cluster.bootstrap_servers, [topic]), PATIENCE)
    assert read_isolated(cluster.bootstrap_servers, topic, committed=True) == [b"2"]


def connect_anew(client: Client) -> None:
    """Brokers tell of features when somebody connects."""
    for node in client.tree().children[0].children:
        node.kill()


def within(client: Client, topic: str, name: str, happens: Callable[[], object]) -> None:
    """A transaction, after whose first record something happens."""
    with client.transaction():
        client.produce(Record(topic, f"{name} yes".encode(), partition=0)).get(PATIENCE)
        happens()
        client.produce_batch([Record(topic, f"{name} yes".encode(), partition=partition) for partition in (1, 2)]).get(PATIENCE)


def test_an_upgrade_and_a_downgrade_are_noticed_by_a_running_client_and_between_two_transactions(
    cluster: KafkaCluster, start_client: Callable[..., Client], topic: str
) -> None:
    settle_on(cluster, 1)
    client = start_client(pool_size=2)
    some(client, topic, "before")
    assert version_of(client) == 1
    names = ["before"]
    for before, version in pairwise((1, 2, 1, 2)):
        parts = ("inside", "not told", "noticed", "then", "last")
        inside, not_told, noticed, *then = (f"{part}, {before} to {version}" for part in parts)
        within(client, topic, inside, lambda version=version: settle_on(cluster, version))  # type: ignore[misc]
        some(client, topic, not_told)  # who was not told goes on as it did
        assert version_of(client) == before
        within(client, topic, noticed, lambda: connect_anew(client))
        wait_until(lambda version=version: version_of(client) == version, PATIENCE)  # type: ignore[misc]
        for name in then:
            some(client, topic, name)
        assert version_of(client) == version
        names += [inside, not_told, noticed, *then]
    sees(cluster, topic, *names)
