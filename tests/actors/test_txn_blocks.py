"""What is promised of pools before their first use, and of blocks: what a commit waits for, what an abort need not
wait for, when a function is run again, and what producing costs beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import Client, Record, TransactionAborted, TransactionError
from klife.actors.network.purpose import OF_TRANSACTIONS
from klife.api import append_one
from klife.protocol.apis.api_versions import ApiVersionsRequest, FinalizedFeatureKey
from klife.protocol.apis.end_txn import EndTxnRequest
from klife.protocol.apis.find_coordinator import FindCoordinatorRequest
from klife.protocol.apis.init_producer_id import InitProducerIdRequest
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.apis.produce import ProduceRequest
from tests.support.scripted_broker import PATIENCE, Exchange, ScriptedCluster, after, done_then_cut, refuse
from tests.support.scripted_coordinator import ScriptedCoordinator, refuse_end
from tests.support.waiting import wait_until

StartClient = Callable[..., Client]
BROKERS = 3


class World:
    """A cluster, of whose brokers the first coordinates and each leads a partition, and clients with pools there."""

    def __init__(self, start_client: StartClient, is_v2: bool) -> None:
        self.cluster = ScriptedCluster(brokers=BROKERS, topics={"orders": BROKERS})
        for index, partition in enumerate(self.cluster.topics["orders"].partitions):
            partition.leader = 1 + index
        self.coordinator = ScriptedCoordinator(self.cluster, is_v2=is_v2)
        self._start = start_client

    def start(self, **pool: Any) -> Client:
        return self._start(self.cluster, txn_pools=[{"name": "money", **pool}])

    def leads_nothing(self, node_id: int, then: int) -> None:
        """Nor do the brokers list it: its partitions are those of `then`."""
        for partition in self.cluster.topics["orders"].partitions:
            partition.leader = then if partition.leader == node_id else partition.leader
        tell = self.cluster.answers[MetadataRequest]

        def without(exchange: Exchange) -> Any:
            response = tell(exchange)
            response.brokers = [each for each in response.brokers if each.node_id != node_id]
            return response

        self.cluster.answers[MetadataRequest] = without

    def got(self, request: type) -> list[Any]:
        return [exchange.request for broker in self.cluster.brokers.values() for exchange in broker.got(request)]


@pytest.fixture(params=[True, False], ids=["v2", "v1"])
def world(request: pytest.FixtureRequest, start_client: StartClient) -> Iterator[World]:
    made = World(start_client, request.param)
    with made.cluster:
        yield made


def everywhere() -> list[Record]:
    return [Record("orders", b"v", partition=index) for index in range(BROKERS)]


def threads() -> int:
    """Of this process, whoever made them, where the system tells; without gevent's own, in which it looks hosts up."""
    listed = Path("/proc/self/task")
    all_there_are = len(list(listed.iterdir())) if listed.exists() else threading.active_count()
    return all_there_are - int(gevent.get_hub().threadpool.size)


# before the first use


@pytest.mark.parametrize("base_txn_id", ["", "shop"])
def test_of_a_pool_nothing_is_there_before_its_first_transaction(world: World, base_txn_id: str) -> None:
    with_pool, without = world.start(base_txn_id=base_txn_id, pool_size=3), world._start(world.cluster)
    for client in (with_pool, without):
        client.wait_ready(PATIENCE)
        client.produce_batch(everywhere()).get(PATIENCE)
        client.flush(PATIENCE)
    of_pool, of_none = ([(each.node_id, each.purpose) for each in each.status().brokers] for each in (with_pool, without))
    assert of_pool == of_none
    assert world.got(FindCoordinatorRequest) == []
    assert {each.transactional_id for each in world.got(InitProducerIdRequest)} == {None}
    (pool,) = with_pool.status().txn_pools
    assert (pool.open, pool.resting, pool.waiting) == (0, 0, 0)

    before = threads()
    with_pool.produce_batch_txn(everywhere())
    # Of given names all, which ends what another process may have left under any of them.
    names = {f"shop-{number}" for number in range(6)} if base_txn_id else {each.transactional_id for each in world.got(EndTxnRequest)}
    wait_until(lambda: {each.transactional_id for each in world.got(InitProducerIdRequest)} == {None, *names}, PATIENCE)
    assert len(names) == (6 if base_txn_id else 1)
    assert threads() <= before


def test_who_gets_no_coordinator_is_told_when_its_time_is_over(world: World) -> None:
    client = world.start(checkout_timeout_ms=300)
    held = Event()
    for broker in world.cluster.brokers.values():
        broker.always(FindCoordinatorRequest, after(held))
    with pytest.raises(TransactionError, match=r"within checkout_timeout_ms \(300\): no transaction coordinator has answered") as told:
        client.produce_batch_txn(everywhere())
    assert (told.value.retriable, told.value.possibly_committed) == (True, False)
    assert client.status().txn_pools[0].waiting == 0
    held.set()
    assert [record.error for record in client.produce_batch(everywhere()).get(PATIENCE)] == [None] * BROKERS


def test_the_coordinator_is_kept_while_its_pool_is_there_though_the_cluster_does_not_list_it(world: World) -> None:
    world.leads_nothing(1, then=2)
    client = world._start(world.cluster, metadata_max_age_ms=50, txn_pools=[{"name": "money", "pool_size": 1}])
    for _ in range(3):
        client.produce_batch_txn(everywhere())
    asked = len(world.got(FindCoordinatorRequest))
    listed = len(world.got(MetadataRequest))
    wait_until(lambda: len(world.got(MetadataRequest)) > listed + 5, PATIENCE)
    before = world.cluster[1].connections
    client.produce_batch_txn(everywhere())
    assert [broker.node_id for broker in client.status().brokers if broker.state == "ready" and broker.node_id == 1] == [1]
    assert len(world.got(FindCoordinatorRequest)) <= asked + 1  # of a producer that has not been out before
    assert world.cluster[1].connections == before


@pytest.mark.parametrize("latest", [1, 2])
@pytest.mark.parametrize("knows", range(1, BROKERS + 1))
def test_the_version_is_what_the_broker_tells_that_knew_it_latest(start_client: StartClient, latest: int, knows: int) -> None:
    world = World(start_client, is_v2=False)
    tell = world.cluster.answers[ApiVersionsRequest]

    def told(exchange: Exchange) -> Any:
        response = tell(exchange)
        knows_it = exchange.broker.node_id == knows
        level = latest if knows_it else 3 - latest
        response.finalized_features_epoch = 9 if knows_it else 3
        response.finalized_features = [FinalizedFeatureKey(name="transaction.version", max_version_level=level, min_version_level=1)]
        return response

    world.cluster.answers[ApiVersionsRequest] = told
    with world.cluster:
        client = world.start()
        client.produce_batch(everywhere()).get(PATIENCE)  # so that each broker is connected to
        assert client.status().txn_pools[0].transaction_version == latest


# the end


def test_a_commit_waits_for_deliveries_and_not_for_callbacks(world: World) -> None:
    client = world.start()
    client.produce_batch_txn(everywhere())
    held, called, go = Event(), Event(), Event()

    def callback(_record: Record) -> None:
        called.set()
        go.wait()

    world.cluster[2].script(ProduceRequest, after(held))

    def transact() -> None:
        with client.transaction():
            for record in everywhere():
                client.produce_async(record, callback)

    owner = gevent.spawn(transact)
    world.cluster[2].wait_for(ProduceRequest, 2)
    gevent.idle()
    assert world.coordinator.ended == [True]
    assert not owner.ready()
    held.set()
    owner.get(timeout=PATIENCE)
    assert world.coordinator.ended == [True, True]
    assert called.wait(PATIENCE)
    assert not go.is_set()
    go.set()


def test_an_abort_waits_for_records_on_their_way_in_v1_alone(world: World) -> None:
    client = world.start()
    client.produce_batch_txn(everywhere())
    held = Event()
    world.cluster[2].script(ProduceRequest, after(held))

    def regret() -> None:
        with client.transaction() as txn:
            client.produce(Record("orders", b"v", partition=1))
            world.cluster[2].wait_for(ProduceRequest, 2)
            txn.abort()

    owner = gevent.spawn(regret)
    if world.coordinator.is_v2:
        owner.get(timeout=PATIENCE)
        held.set()
    else:
        world.cluster[2].wait_for(ProduceRequest, 2)
        gevent.sleep(0.05)  # time for a request that must not come
        assert len(world.got(EndTxnRequest)) == 1
        held.set()
        owner.get(timeout=PATIENCE)
    assert [request.committed for request in world.got(EndTxnRequest)] == [True, False]


def test_a_flush_waits_for_what_is_in_an_open_block_and_ends_nothing(world: World) -> None:
    client = world.start()
    client.produce_batch_txn(everywhere())
    held = Event()
    world.cluster[2].script(ProduceRequest, after(held))
    with client.transaction():
        deliveries = [client.produce(record) for record in everywhere()]
        flush = gevent.spawn(client.flush, PATIENCE)
        world.cluster[2].wait_for(ProduceRequest, 2)
        assert not flush.ready()
        held.set()
        flush.get(timeout=PATIENCE)
        assert all(delivery.done() for delivery in deliveries)
        assert world.coordinator.ended == [True]
        assert client.status().txn_pools[0].open == 1
    assert world.coordinator.ended == [True, True]


# run again


class Work:
    """A function that counts its calls."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        self._client.produce(Record("orders", b"v", partition=0))


def test_what_may_be_committed_is_never_run_again(world: World) -> None:
    client = world.start()
    work = Work(client)
    client.produce_batch_txn(everywhere())
    world.cluster[1].script(EndTxnRequest, done_then_cut, refuse_end(90))  # done; told of the repeated one
    with pytest.raises(TransactionError) as told:
        client.transaction(work, retries=5)
    assert told.value.possibly_committed
    assert work.calls == 1


def test_what_fails_each_time_is_not_run_again(world: World) -> None:
    client = world.start()
    work = Work(client)
    client.produce_batch_txn(everywhere())
    world.cluster[1].script(ProduceRequest, refuse(29))  # no permission for the topic
    with pytest.raises(TransactionAborted) as told:
        client.transaction(work, retries=5)
    assert not told.value.retriable
    assert work.calls == 1


def test_it_is_run_again_so_often_and_no_more(world: World) -> None:
    client = world.start()
    work = Work(client)
    client.produce_batch_txn(everywhere())
    world.cluster[1].script(ProduceRequest, *[refuse(120)] * 3)
    with pytest.raises(TransactionAborted):
        client.transaction(work, retries=2)
    assert work.calls == 3
    client.transaction(work)
    assert world.coordinator.ended.count(True) == 2


# beside it


def test_while_no_transaction_is_open_nobody_asks_whose_a_record_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = world.start()
    client.produce_batch_txn(everywhere())
    asked: list[None] = []
    whose = append_one.getcurrent

    def look() -> Any:
        asked.append(None)
        return whose()

    monkeypatch.setattr(append_one, "getcurrent", look)
    for record in everywhere():
        client.produce(record).get(PATIENCE)
        client.produce_async(record)
    assert asked == []
    with client.transaction():
        client.produce(everywhere()[0])
    assert asked


def test_all_pools_of_a_client_share_the_connections_of_transactions(world: World) -> None:
    names = ["money", "audit"]
    client = world._start(world.cluster, txn_pools=[{"name": name, "pool_size": 8} for name in names])
    inside, go = [], Event()

    def transact(pool: str) -> None:
        with client.transaction(pool=pool):
            client.produce_batch(everywhere()).get(PATIENCE)
            inside.append(pool)
            go.wait()

    def opened() -> int:
        return sum(each.state == "ready" and each.node_id is not None for each in client.status().brokers)

    for _ in range(2):
        inside.clear()
        go.clear()
        owners = [gevent.spawn(transact, name) for name in names * 8]
        wait_until(lambda: len(inside) == 16, PATIENCE)
        go.set()
        gevent.joinall(owners, timeout=PATIENCE, raise_error=True)
    wait_until(lambda: opened() == len(OF_TRANSACTIONS) * BROKERS, PATIENCE)
    assert sum(broker.connections for broker in world.cluster.brokers.values()) <= len(OF_TRANSACTIONS) * BROKERS + 1
