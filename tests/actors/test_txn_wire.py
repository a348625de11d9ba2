"""What transactions put on the wire, and over how many connections: the order of the first Produce of each leader,
one request for all partitions of a broker, and the connections that transactions which overlap share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import gevent
import pytest
from gevent import getcurrent
from gevent.event import Event
from greenlet import settrace

from klife import Client, Delivery, Record
from klife.actors.network.purpose import OF_TRANSACTIONS
from klife.actors.producer.batcher_actor import BatcherActor
from klife.actors.transactions import choice, connections
from klife.actors.transactions.producer import TransactionalProducer
from klife.protocol.apis.end_txn import EndTxnRequest
from klife.protocol.apis.produce import ProduceRequest
from tests.support.inside_client import node, nodes
from tests.support.scripted_broker import PATIENCE, Exchange, ScriptedCluster, after, good
from tests.support.scripted_coordinator import ScriptedCoordinator
from tests.support.waiting import wait_until

StartClient = Callable[..., Client]
BROKERS, PARTITIONS = 3, 6
pytestmark = pytest.mark.usefixtures("never_late")


@pytest.fixture
def cluster() -> Iterator[ScriptedCluster]:
    """Three brokers that lead two partitions each."""
    with ScriptedCluster(brokers=BROKERS, topics={"orders": PARTITIONS}) as cluster:
        for index, partition in enumerate(cluster.topics["orders"].partitions):
            partition.leader = 1 + index % BROKERS
        yield cluster


def ready(cluster: ScriptedCluster, start_client: StartClient, *, is_v2: bool = True, pool_size: int = 4) -> Client:
    """A client that is connected to all brokers."""
    ScriptedCoordinator(cluster, is_v2=is_v2)
    client = start_client(cluster, txn_pools=[{"name": "money", "pool_size": pool_size}])
    client.produce_batch_txn(everywhere())
    for broker in cluster.brokers.values():
        broker.requests.clear()
    return client


def warm_up(client: Client, cluster: ScriptedCluster, rounds: int = 3) -> None:
    """Each producer of the pool (twice its size) sends something, and so has all its actors."""
    for _ in range(rounds):
        client.produce_batch_txn(everywhere())
    for broker in cluster.brokers.values():
        broker.requests.clear()


def everywhere() -> list[Record]:
    return [Record("orders", b"v", partition=index) for index in range(PARTITIONS)]


def id_of_one(client: Client, cluster: ScriptedCluster) -> str:
    """The transactional id under which a transaction is ended that is made for it."""
    for broker in cluster.brokers.values():
        broker.requests.clear()
    client.produce_batch_txn(everywhere())
    (end,) = [end for broker in cluster.brokers.values() for end in broker.got(EndTxnRequest)]
    return str(end.request.transactional_id)


def produces(cluster: ScriptedCluster) -> list[int]:
    """How many Produce requests each broker has got."""
    return [len(broker.got(ProduceRequest)) for broker in cluster.brokers.values()]


def test_a_transaction_is_one_produce_for_each_broker(cluster: ScriptedCluster, start_client: StartClient) -> None:
    client = ready(cluster, start_client)
    client.produce_batch_txn(everywhere())
    assert produces(cluster) == [1] * BROKERS
    assert sum(len(broker.got(EndTxnRequest)) for broker in cluster.brokers.values()) == 1


def test_in_v2_one_leader_adds_its_partitions_at_a_time_and_later_requests_go_at_once(
    cluster: ScriptedCluster, start_client: StartClient
) -> None:
    client = ready(cluster, start_client)
    answers = {node_id: Event() for node_id in cluster.brokers}
    for node_id, answered in answers.items():
        cluster[node_id].script(ProduceRequest, after(answered))
    with client.transaction():
        deliveries = client.produce_batch(everywhere())
        for asked in range(1, BROKERS + 1):
            wait_until(lambda asked=asked: sum(produces(cluster)) == asked, PATIENCE)
            gevent.sleep(0.02)  # time for a request that must not come
            assert sum(produces(cluster)) == asked
            (last,) = [
                node_id for node_id, answered in answers.items() if cluster[node_id].got(ProduceRequest) and not answered.is_set()
            ]
            answers[last].set()
        deliveries.get(PATIENCE)
        held = Event()
        for broker in cluster.brokers.values():
            broker.script(ProduceRequest, after(held))
        client.produce_batch(everywhere())
        wait_until(lambda: produces(cluster) == [2] * BROKERS, PATIENCE)
        held.set()


def late(exchange: Exchange) -> None:
    """As a good broker does whom it takes 20 ms."""
    gevent.sleep(0.02)
    good(exchange)


def test_in_v2_all_leaders_are_sent_to_at_once_while_the_brokers_answer_late(
    cluster: ScriptedCluster, start_client: StartClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_MANY", 3)
    cluster[1].always(EndTxnRequest, late)
    client = ready(cluster, start_client)
    warm_up(client, cluster)
    held = Event()
    for broker in cluster.brokers.values():
        broker.script(ProduceRequest, after(held))
    with client.transaction():
        client.produce_batch(everywhere())
        wait_until(lambda: produces(cluster) == [1] * BROKERS, PATIENCE)
        held.set()


def test_brokers_are_quick_while_most_answers_are_whatever_the_others_take() -> None:
    shared = connections.Connections(cast(Any, None))
    assert shared.are_quick, "until the contrary is known"
    for _ in range(20):
        for seconds in (0.002, 0.5, 0.002, 0.002):
            shared.answered(seconds)
            assert shared.are_quick
    for _ in range(100):
        shared.answered(0.02)
    assert not shared.are_quick
    for _ in range(20):
        for seconds in (0.02, 0.002, 0.02, 0.02):
            shared.answered(seconds)
            assert not shared.are_quick
    for _ in range(100):
        shared.answered(0.002)
    assert shared.are_quick


def test_in_v1_no_leader_waits_for_another(cluster: ScriptedCluster, start_client: StartClient) -> None:
    client = ready(cluster, start_client, is_v2=False)
    held = Event()
    for node_id in (2, 3):  # 1 is the coordinator, which would not hear of more partitions
        cluster[node_id].script(ProduceRequest, after(held))
    with client.transaction():
        client.produce_batch(everywhere())
        wait_until(lambda: produces(cluster) == [1] * BROKERS, PATIENCE)
        held.set()


@pytest.mark.parametrize("is_v2", [False, True])
def test_batchers_are_woken_to_send_and_by_answers_and_never_for_what_may_not_leave_yet(
    cluster: ScriptedCluster, start_client: StartClient, monkeypatch: pytest.MonkeyPatch, is_v2: bool
) -> None:
    monkeypatch.setattr(choice, "RESTED", 0.0)  # no other producer is made
    client = ready(cluster, start_client, is_v2=is_v2, pool_size=1)
    warm_up(client, cluster)
    woken: list[BatcherActor] = []
    look = BatcherActor.on_wake

    def on_wake(actor: BatcherActor) -> None:
        woken.append(actor)
        look(actor)

    monkeypatch.setattr(BatcherActor, "on_wake", on_wake)
    client.produce_batch_txn(everywhere())
    assert produces(cluster) == [1] * BROKERS
    assert len(woken) <= 2 * BROKERS


def test_a_pool_does_not_look_at_all_its_producers_for_each_transaction(
    cluster: ScriptedCluster, start_client: StartClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "RESTED", PATIENCE)  # else a late machine's producers have rested, and no fourth is made
    client = ready(cluster, start_client, pool_size=2)
    one_open = Together(client, 1)
    warm_up(client, cluster, rounds=8)
    wait_until(lambda: [pool.resting for pool in client.status().txn_pools] == [3], PATIENCE)  # the fourth is made, too
    looked: list[TransactionalProducer] = []
    standing: Any = TransactionalProducer.standing

    def look(producer: TransactionalProducer) -> Any:
        looked.append(producer)
        return standing.fget(producer)

    monkeypatch.setattr(TransactionalProducer, "standing", property(look))
    used = [id_of_one(client, cluster) for _ in range(6)]
    assert used[:3] == used[3:], "who has rested longest goes out first"
    assert len(set(used)) == 3
    assert not looked
    one_open.end()


@pytest.mark.parametrize("is_v2", [False, True])
def test_a_caller_waits_once_in_a_transaction(
    cluster: ScriptedCluster, start_client: StartClient, monkeypatch: pytest.MonkeyPatch, is_v2: bool
) -> None:
    monkeypatch.setattr(choice, "RESTED", 0.0)  # else another producer may be made, and waited for, whenever the last is fresh
    client = ready(cluster, start_client, is_v2=is_v2, pool_size=1)
    warm_up(client, cluster)
    waits: list[bool] = []  # of each switch to the caller, whether its deliveries were there

    def transact() -> None:
        me = getcurrent()

        def note(event: str, switch: tuple[Any, Any]) -> None:
            if switch[1] is me:
                waits.append(all(delivery.done() for delivery in deliveries))

        deliveries: list[Delivery] = []
        before = settrace(note)
        try:
            with client.transaction():
                deliveries.extend(client.produce(record) for record in everywhere())
        finally:
            settrace(before)

    gevent.spawn(transact).get(PATIENCE)
    assert waits == [True], "for the end alone: one that rests was there, and others look after the deliveries"


@pytest.mark.parametrize("is_v2", [False, True])
@pytest.mark.parametrize("gone_in_the_block", [False, True])
def test_a_leader_that_can_not_be_reached_holds_no_other_up(
    cluster: ScriptedCluster, start_client: StartClient, is_v2: bool, gone_in_the_block: bool
) -> None:
    client = ready(cluster, start_client, is_v2=is_v2)
    at_two = [record for record in everywhere() if record.partition is not None and 1 + record.partition % BROKERS == 2]

    def goes() -> None:
        cluster[2].stop()
        wait_until(lambda: not any(node_id == 2 for node_id, _ in open_connections(client)), PATIENCE)

    if not gone_in_the_block:
        goes()
    with client.transaction():
        held_up = client.produce_batch(at_two)  # so these would have their turn first
        if gone_in_the_block:
            goes()
        others = client.produce_batch([record for record in everywhere() if record not in at_two])
        assert all(record.error is None for record in others.get(PATIENCE))
        assert not held_up.done()
        cluster[2].listen()
        assert all(record.error is None for record in held_up.get(PATIENCE))


@pytest.mark.parametrize("is_v2", [False, True])
def test_a_commit_that_waits_for_deliveries_goes_on_whatever_actor_is_killed(
    cluster: ScriptedCluster, start_client: StartClient, is_v2: bool
) -> None:
    client = ready(cluster, start_client, is_v2=is_v2)
    held = Event()
    for broker in cluster.brokers.values():
        broker.script(ProduceRequest, after(held))

    def transact() -> list[Delivery]:
        with client.transaction() as transaction:
            return [transaction.produce(record) for record in everywhere()]

    owner = gevent.spawn(transact)
    wait_until(lambda: sum(produces(cluster)) >= 1, PATIENCE)
    for actor in [each for each in nodes(node(client, "txn pool")) if not each.children]:
        actor.kill()
    assert not owner.ready()
    held.set()
    assert all(delivery.get(PATIENCE).offset >= 0 for delivery in owner.get(PATIENCE))
    assert client.status().txn_pools[0].committed == 2


class Together:
    """Transactions that are open at the same time."""

    def __init__(self, client: Client, count: int) -> None:
        self._client = client
        self._go = Event()
        self._inside = 0
        self._owners = [gevent.spawn(self._run) for _ in range(count)]
        wait_until(lambda: self._inside == count, PATIENCE)

    def _run(self) -> None:
        with self._client.transaction():
            self._inside += 1
            self._client.produce_batch(everywhere()).get(PATIENCE)
            self._go.wait()

    def end(self) -> None:
        self._go.set()
        gevent.joinall(self._owners, timeout=PATIENCE, raise_error=True)
        assert all(owner.ready() for owner in self._owners)


def open_connections(client: Client) -> list[tuple[int | None, str]]:
    return [(each.node_id, each.purpose) for each in client.status().brokers if each.state == "ready"]


def have_all_connections_opened(client: Client, cluster: ScriptedCluster, pool_size: int) -> None:
    """By transactions that overlap: each broker's first request is answered when the others are there as well."""

    def opened(node_id: int | None = None) -> int:
        return len([each for each, _ in open_connections(client) if each and node_id in (None, each)])

    for node_id, broker in cluster.brokers.items():
        broker.script(ProduceRequest, in_time(lambda node_id=node_id: opened(node_id) == len(OF_TRANSACTIONS)))
    Together(client, pool_size).end()
    assert opened() == len(OF_TRANSACTIONS) * BROKERS


def in_time(condition: Callable[[], bool]) -> Callable[[Exchange], None]:
    """As a good broker does, when that is so."""

    def answer(exchange: Exchange) -> None:
        wait_until(condition, PATIENCE)
        good(exchange)

    return answer


def test_transactions_that_overlap_share_up_to_four_connections_a_broker(cluster: ScriptedCluster, start_client: StartClient) -> None:
    client = ready(cluster, start_client, pool_size=16)
    assert {purpose for _, purpose in open_connections(client)} == {"requests"}, "one transaction at a time needs no other"
    have_all_connections_opened(client, cluster, 16)
    assert sum(broker.connections for broker in cluster.brokers.values()) <= len(OF_TRANSACTIONS) * BROKERS + 1
    before = [broker.connections for broker in cluster.brokers.values()]
    for broker in cluster.brokers.values():
        broker.requests.clear()

    def all_are_used() -> bool:
        return len({exchange.connection for exchange in cluster[2].got(ProduceRequest)}) == len(OF_TRANSACTIONS)

    cluster[2].script(ProduceRequest, *[in_time(all_are_used)] * len(OF_TRANSACTIONS))
    Together(client, 16).end()
    assert all_are_used()
    assert [broker.connections for broker in cluster.brokers.values()] == before


def test_a_request_goes_by_a_connection_that_owes_no_answer_whoever_shares_it(
    cluster: ScriptedCluster, start_client: StartClient
) -> None:
    """Three connections wait for a broker; what others have for it goes by the fourth."""
    client = ready(cluster, start_client, pool_size=8)
    have_all_connections_opened(client, cluster, 8)
    go, held = [Event() for _ in range(8)], Event()
    (at_two, *_) = [record for record in everywhere() if record.partition is not None and 1 + record.partition % BROKERS == 2]

    def transact(turn: Event) -> None:
        with client.transaction():
            turn.wait()
            client.produce(at_two)

    owners = [gevent.spawn(transact, turn) for turn in go]
    count = len(OF_TRANSACTIONS) - 1
    cluster[2].requests.clear()
    cluster[2].script(ProduceRequest, *[after(held)] * count)
    for number, turn in enumerate(go):
        turn.set()
        if number < count:
            cluster[2].wait_for(ProduceRequest, number + 1)
        else:
            owners[number].get(timeout=PATIENCE)
    assert not any(owner.ready() for owner in owners[:count])
    held.set()
    gevent.joinall(owners, timeout=PATIENCE, raise_error=True)


def test_a_connection_that_can_not_be_opened_is_missed_by_nobody(cluster: ScriptedCluster, start_client: StartClient) -> None:
    client = ready(cluster, start_client, pool_size=8)
    for broker in cluster.brokers.values():
        broker._server.stop_accepting()
    for _ in range(2):
        Together(client, 8).end()
    assert client.status().txn_pools[0].committed == 17
