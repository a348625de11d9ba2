"""What a transaction's owner is told, what the coordinator is asked and what it has done, for answers of all
kinds, over real sockets. Which code is of which kind is for `test_txn_policy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import Client, Record, TransactionAborted, TransactionError, TransactionFenced
from klife.actors.transactions import choice
from klife.actors.transactions.fate import settles_commit
from klife.actors.transactions.policy import Action, Request, action_for
from klife.actors.transactions.producer import TransactionalProducer
from klife.actors.transactions.state import State
from klife.protocol.apis.add_partitions_to_txn import AddPartitionsToTxnRequest
from klife.protocol.apis.describe_transactions import DescribeTransactionsRequest
from klife.protocol.apis.end_txn import EndTxnRequest, EndTxnResponse
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.error_codes import ErrorCode
from tests.support.scripted_broker import PATIENCE, CutOff, Exchange, ScriptedCluster, after, answer, cut, done_then_cut, good, refuse
from tests.support.scripted_coordinator import ScriptedCoordinator, refuse_adding, refuse_end
from tests.support.waiting import wait_until

StartClient = Callable[..., Client]


class World:
    """A cluster with a coordinator, and a client with one transactional producer, that has had a transaction."""

    def __init__(self, cluster: ScriptedCluster, start_client: StartClient, is_v2: bool, **pool: Any) -> None:
        self.cluster = cluster
        self.broker = cluster[1]
        self.coordinator = ScriptedCoordinator(cluster, is_v2=is_v2)
        self.client = start_client(cluster, txn_pools=[{"name": "money", "pool_size": 1, **pool}])
        self.produce("warm")
        assert self.coordinator.ended == [True]
        self.broker.requests.clear()
        self.coordinator.ended.clear()

    def produce(self, value: str) -> None:
        """A transaction of one record."""
        self.client.produce_batch_txn([Record("orders", value.encode())])

    def ends(self) -> list[bool]:
        """The EndTxn requests so far: whether each commits."""
        return [exchange.request.committed for exchange in self.broker.got(EndTxnRequest)]

    def goes_on(self) -> None:
        """The next transaction commits, whatever is still aborted meanwhile."""
        done = len(self.coordinator.ended)
        self.produce("next")
        assert [commits for commits in self.coordinator.ended[done:] if commits] == [True]


@pytest.fixture(params=[True, False], ids=["v2", "v1"])
def world(request: pytest.FixtureRequest, start_client: StartClient) -> Iterator[World]:
    with ScriptedCluster() as cluster:
        yield World(cluster, start_client, request.param)


CODES = [*map(int, ErrorCode), 4711]
A_CODE_OF_EACH_KIND = [*{action_for(Request.END_TXN, code, state=State.COMMITTING).action: code for code in CODES if code}.values()]


def commit_action(code: int) -> Action:
    return action_for(Request.END_TXN, code, state=State.COMMITTING).action


@pytest.mark.parametrize("code", sorted({*A_CODE_OF_EACH_KIND, 47, 48, 49, 90, 51, 15, -1, 120, 53}))
def test_a_commit_that_is_refused_once(world: World, code: int) -> None:
    world.broker.script(EndTxnRequest, refuse_end(code))
    if commit_action(code) in (Action.AGAIN, Action.FIND):
        world.produce("x")
        assert world.ends() == [True, True], "a commit that was sent is repeated, and nothing else"
        assert world.coordinator.ended == [True]
    else:
        with pytest.raises(TransactionAborted) as caught:
            world.produce("x")
        assert caught.value.error_code == code
        assert caught.value.retriable is (code != 53)
        assert not caught.value.possibly_committed
        assert True not in world.coordinator.ended
    world.goes_on()


@pytest.mark.parametrize("code", sorted({*A_CODE_OF_EACH_KIND, 47, 48, 49, 90, 51, -1, 120, 53}))
def test_a_commit_whose_answer_was_lost_and_which_is_refused_when_it_is_repeated(world: World, code: int) -> None:
    world.broker.script(EndTxnRequest, done_then_cut, refuse_end(code))
    if commit_action(code) in (Action.AGAIN, Action.FIND):
        world.produce("x")
        assert world.ends() == [True, True, True]
    elif not settles_commit(code):
        with pytest.raises(TransactionError) as caught:
            world.produce("x")
        assert caught.value.possibly_committed
        assert not isinstance(caught.value, TransactionAborted), "which says that it may be run again"
    else:
        return  # no broker that has committed answers so
    assert world.coordinator.ended == [True]
    world.goes_on()


def done_and_moved(exchange: Exchange) -> None:
    """The coordinator writes it, and loses its log to another broker before it can say so."""
    exchange.good_answer()
    exchange.send(EndTxnResponse(error_code=ErrorCode.NOT_COORDINATOR))


@pytest.mark.parametrize("commits", [True, False], ids=["commits", "aborts"])
@pytest.mark.parametrize("lost", [done_then_cut, cut, done_and_moved], ids=["done", "not done", "done and moved"])
def test_who_took_the_id_while_a_commit_was_in_doubt_keeps_it(world: World, lost: Any, commits: bool) -> None:
    def taken_over(exchange: Any) -> None:
        world.coordinator.take_over(commits)
        taken.update({name: own.epoch for name, own in world.coordinator.ids.items()})
        good(exchange)

    taken: dict[str, int] = {}
    world.broker.script(EndTxnRequest, lost, taken_over)
    for _ in range(2):  # the second time it is told without asking anybody
        with pytest.raises(TransactionFenced) as caught:
            world.produce("x")
        assert caught.value.possibly_committed is (len(world.broker.got(ProduceRequest)) > 0)
        world.broker.requests.clear()
    assert {name: own.epoch for name, own in world.coordinator.ids.items()} == taken
    assert world.client.status().txn_pools[0].fenced


@pytest.mark.parametrize("lost", [done_then_cut, cut], ids=["done", "not done"])
def test_a_commit_whose_answer_is_lost_is_repeated_until_one_comes(world: World, lost: Any) -> None:
    world.broker.script(EndTxnRequest, lost, lost)
    world.produce("x")
    assert world.ends() == [True, True, True]
    assert world.coordinator.ended == [True]
    world.goes_on()


def test_a_commit_without_any_answer_is_unknown_and_was_never_followed_by_anything_else(start_client: StartClient) -> None:
    with ScriptedCluster() as cluster:
        short = {"txn_timeout_ms": 2_500, "delivery_timeout_ms": 2_400, "request_timeout_ms": 400}
        world = World(cluster, start_client, True, **short)
        world.broker.always(EndTxnRequest, cut)
        with pytest.raises(TransactionError, match="no coordinator answered") as caught:
            world.produce("x")
        assert caught.value.possibly_committed
        assert set(world.ends()) == {True}
        assert len(world.ends()) > 1
        world.broker.always(EndTxnRequest, None)
        world.goes_on()


@pytest.mark.parametrize("code", [29, 47, 48, 53, 87, 90, 120])
def test_a_record_that_is_refused_aborts_and_the_next_transaction_goes_on(world: World, code: int) -> None:
    world.broker.script(ProduceRequest, refuse(code))
    with pytest.raises(TransactionAborted) as caught:
        world.produce("x")
    assert caught.value.error_code == code
    assert True not in world.coordinator.ended
    world.goes_on()
    assert world.cluster.log("orders").count(b"x") == 0


def test_what_an_abort_dropped_has_not_failed(world: World) -> None:
    with world.client.transaction() as txn:
        world.client.produce_batch([Record("orders", b"never sent")] * 3)
        txn.abort()
    world.broker.script(ProduceRequest, refuse(29))
    with pytest.raises(TransactionAborted):
        world.produce("refused")
    report = world.client.stop()
    assert (report.delivered, report.failed, report.undelivered) == (1, 1, 0)


def test_one_transaction_on_the_wire_in_v2_is_a_produce_and_an_end(
    start_client: StartClient, monkeypatch: pytest.MonkeyPatch, never_late: None
) -> None:
    monkeypatch.setattr(choice, "RESTED", 0.0)  # else the second transaction may get another producer, which is made first
    with ScriptedCluster() as cluster:
        world = World(cluster, start_client, True)
        with world.client.transaction():
            for number in range(3):
                world.client.produce(Record("orders", b"%d" % number))
        kinds = [type(exchange.request) for exchange in world.broker.requests]
        assert kinds == [ProduceRequest, EndTxnRequest]


def test_in_v1_no_end_overtakes_the_partitions_being_added(start_client: StartClient) -> None:
    with ScriptedCluster() as cluster:
        world = World(cluster, start_client, False)
        answered = Event()
        world.broker.script(AddPartitionsToTxnRequest, after(answered))

        def regret() -> None:
            world.client.produce(Record("orders", b"x"))
            world.broker.wait_for(AddPartitionsToTxnRequest)
            raise KeyError

        owner = gevent.spawn(world.client.transaction, regret)
        world.broker.wait_for(AddPartitionsToTxnRequest)
        gevent.idle()
        assert world.ends() == []
        answered.set()
        with pytest.raises(KeyError):
            owner.get(PATIENCE)
        assert world.coordinator.ended == [False]
        world.goes_on()


@pytest.mark.parametrize(("code", "comes_to_pass"), [(51, True), (14, True), (16, True), (29, False), (120, False), (90, False)])
def test_partitions_that_are_not_added_at_once(start_client: StartClient, code: int, comes_to_pass: bool) -> None:
    with ScriptedCluster() as cluster:
        world = World(cluster, start_client, False)
        world.broker.script(AddPartitionsToTxnRequest, refuse_adding(code))
        if comes_to_pass:
            world.produce("x")
            assert world.coordinator.ended == [True]
        else:
            with pytest.raises(TransactionAborted) as caught:
                world.produce("x")
            assert caught.value.error_code == code
        world.goes_on()


@pytest.mark.parametrize(
    ("code", "names"), [(53, "Write on the transactional id"), (50, "transaction.max.timeout"), (31, "Idempotent")]
)
def test_a_producer_that_is_not_initialised_says_why_and_the_next_call_tries_again(
    start_client: StartClient, code: int, names: str
) -> None:
    with ScriptedCluster() as cluster:
        ScriptedCoordinator(cluster, is_v2=True)
        client = start_client(cluster, txn_pools=[{"name": "money"}])
        client.wait_ready(PATIENCE)
        client.produce(Record("orders", b"plain")).get(PATIENCE)  # so that the default producer has asked for its id
        cluster[1].always(InitProducerIdRequest, answer(InitProducerIdResponse(error_code=code)))
        with pytest.raises(TransactionError) as caught:
            client.produce_batch_txn([Record("orders", b"x")])
        assert names in str(caught.value)
        assert (caught.value.error_code, caught.value.possibly_committed) == (code, False)
        cluster[1].always(InitProducerIdRequest, None)
        client.produce_batch_txn([Record("orders", b"y")])


@pytest.mark.parametrize("commits", [True, False], ids=["commit", "abort"])
def test_what_could_not_be_ended_is_ended_by_a_renewal_at_once(world: World, commits: bool) -> None:
    """Not when the producer goes out again, nor at txn_timeout_ms: until then readers of committed records wait."""
    world.broker.script(EndTxnRequest, refuse_end(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED))
    with suppress(TransactionAborted), world.client.transaction() as txn:
        world.client.produce(Record("orders", b"x")).get(PATIENCE)
        if not commits:
            txn.abort()
    wait_until(lambda: not world.coordinator.is_open, PATIENCE)
    assert world.coordinator.ended == [False]
    world.goes_on()


def test_a_timeout_that_is_just_what_the_brokers_allow(start_client: StartClient) -> None:
    def allows(exchange: Exchange) -> None:
        if exchange.request.transactional_id is not None and exchange.request.transaction_timeout_ms > 900_000:
            return exchange.send(InitProducerIdResponse(error_code=ErrorCode.INVALID_TRANSACTION_TIMEOUT))
        return good(exchange)

    with ScriptedCluster() as cluster:
        coordinator = ScriptedCoordinator(cluster, is_v2=True)
        cluster[1].always(InitProducerIdRequest, allows)
        client = start_client(cluster, txn_pools=[{"name": "money", "txn_timeout_ms": 900_000}])
        client.produce_batch_txn([Record("orders", b"x")])
        assert coordinator.ended == [True]


def test_a_transaction_that_timed_out_in_its_block_may_be_run_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TransactionalProducer, "is_overdue", lambda _producer, _now: True)

    def work() -> None:
        world.client.produce(Record("orders", b"late")).get(PATIENCE)
        world.coordinator.time_out()

    with pytest.raises(TransactionAborted, match="txn_timeout_ms") as caught:
        world.client.transaction(work)
    assert caught.value.retriable
    assert world.coordinator.ended == [False]
    world.goes_on()


@pytest.fixture(params=["", "shop"], ids=["random id", "given id"])
def world_of_v1(request: pytest.FixtureRequest, start_client: StartClient) -> Iterator[World]:
    """In which an answer of the coordinator's is lost, so that the id looks as if somebody else had taken it."""
    with ScriptedCluster() as cluster:
        yield World(cluster, start_client, False, base_txn_id=request.param)


def test_a_transaction_that_was_never_answered_and_timed_out_fences_nobody(world_of_v1: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of_v1
    monkeypatch.setattr(TransactionalProducer, "is_overdue", lambda _producer, _now: True)
    world.broker.always(AddPartitionsToTxnRequest, done_then_cut)

    def work() -> None:
        world.client.produce(Record("orders", b"never"))
        wait_until(lambda: world.coordinator.is_open, PATIENCE)
        world.coordinator.time_out()
        raise RuntimeError("regrets")

    with pytest.raises(RuntimeError, match="regrets"):
        world.client.transaction(work)
    world.broker.always(AddPartitionsToTxnRequest, None)
    world.goes_on()


def test_a_renewal_that_was_done_unheard_of_and_forgotten_fences_nobody(world_of_v1: World) -> None:
    world = world_of_v1

    def done_and_forgotten(exchange: Exchange) -> None:
        if exchange.request.producer_id < 0:
            return good(exchange)
        world.broker.always(InitProducerIdRequest, None)
        exchange.good_answer()
        world.coordinator.forget_repeats()  # as a coordinator that has moved
        raise CutOff

    world.broker.always(InitProducerIdRequest, done_and_forgotten)
    world.broker.script(ProduceRequest, refuse(29))
    with pytest.raises(TransactionAborted):
        world.produce("refused")
    for _ in range(5):  # the pool may have another producer, which goes first
        if world.broker.got(DescribeTransactionsRequest):
            break
        world.produce("other")
    wait_until(lambda: bool(world.broker.got(DescribeTransactionsRequest)), PATIENCE)
    world.goes_on()
