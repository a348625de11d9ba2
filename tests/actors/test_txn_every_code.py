"""Every error code, to every request of a transaction, in each state in which it can be met, over real sockets:
what its owner is told is what the table says, what is in the log is what it was told, and the pool goes on.

That each code has the right row is for `test_txn_policy`, where the table is written out again; what brokers
can do besides (lost answers, timeouts) is for `test_txn_answers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import Client, Record, TransactionAborted, TransactionError, TransactionFenced
from klife.actors.producer.policy import Action as BatchAction
from klife.actors.producer.policy import rule_for
from klife.actors.transactions import choice, pool
from klife.actors.transactions.policy import Action, Request, Rule, action_for
from klife.actors.transactions.state import State
from klife.protocol.apis.add_partitions_to_txn import AddPartitionsToTxnRequest
from klife.protocol.apis.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    TransactionState,
)
from klife.protocol.apis.end_txn import EndTxnRequest
from klife.protocol.apis.find_coordinator import Coordinator, FindCoordinatorRequest, FindCoordinatorResponse
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.error_codes import ErrorCode
from tests.support.scripted_broker import PATIENCE, Exchange, ScriptedCluster, Step, after, answer, done_then_cut, good, refuse
from tests.support.scripted_coordinator import ScriptedCoordinator, refuse_adding, refuse_end
from tests.support.waiting import wait_until

StartClient = Callable[..., Client]
NOT_KAFKAS = 4711
CODES = [*map(int, ErrorCode), NOT_KAFKAS]
REFUSALS = [code for code in CODES if code]
GOES_ON = (Action.DONE, Action.AGAIN, Action.FIND)
pytestmark = pytest.mark.timeout(300)


class Regret(Exception):
    """What a block raises to be aborted."""


class World:
    """A cluster of one broker, which coordinates, and a client with pools of one transactional producer each.

    `pool` is the one in use. A pool for each code costs far less than a client for each.
    """

    def __init__(self, start_client: StartClient, is_v2: bool, pools: Sequence[object] = ("money",), *, named: bool = False) -> None:
        self.cluster = ScriptedCluster()
        self.broker = self.cluster[1]
        self.coordinator = ScriptedCoordinator(self.cluster, is_v2=is_v2)
        self.is_v2 = is_v2
        options = {"pool_size": 1, "retry_backoff_ms": 1, "retry_backoff_max_ms": 1}
        txn_pools = [{"name": str(pool), "base_txn_id": f"shop-{pool}" if named else "", **options} for pool in pools]
        self.client = start_client(self.cluster, txn_pools=txn_pools)
        self.client.produce(Record("orders", b"plain")).get(PATIENCE)  # with its own producer's id, so that scripts are a pool's
        self.pool = str(pools[0])
        self._numbers = count()

    def run(self, *, regrets: bool = False, until: Callable[[], object] | None = None) -> tuple[bytes, BaseException | None]:
        """A transaction of one record: its value, and what its owner is told. It regrets after `until`, or when
        the record is written.
        """
        value = b"%d" % next(self._numbers)
        try:
            with self.client.transaction(pool=self.pool):
                delivery = self.client.produce(Record("orders", value))
                if regrets:
                    (until or delivery.get)()
                    raise Regret
        except (TransactionError, Regret) as error:
            return value, error
        return value, None

    def check(self, value: bytes, told: BaseException | None, since: int) -> None:
        """The coordinator did what the owner was told, once, and the pool's next transaction commits."""
        ended = self.coordinator.ended[since:]
        assert ended.count(True) == (told is None)
        assert self.cluster.log("orders").count(value) <= 1
        if told is None:
            assert self.cluster.log("orders").count(value) == 1
        since = len(self.coordinator.ended)
        assert self.run()[1] is None
        assert self.coordinator.ended[since:].count(True) == 1


@pytest.fixture(autouse=True)
def _one_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else another may go out in place of the one that was refused, and be made with what is scripted for that."""
    for module in (choice, pool):
        monkeypatch.setattr(module, "MADE_PER_OPEN", 1)


@pytest.fixture(params=[True, False], ids=["v2", "v1"])
def world(request: pytest.FixtureRequest, start_client: StartClient) -> Iterator[World]:
    made = World(start_client, request.param)
    with made.cluster:
        yield made


def is_told(rule: Rule, code: int, told: BaseException | None) -> None:
    """What the owner is told, where a refusal was not of an abort, and nobody else has the id."""
    if rule.action in GOES_ON:
        assert told is None
        return
    assert isinstance(told, TransactionError)
    assert isinstance(told, TransactionAborted) is (rule.action is not Action.REFUSED)
    assert (told.error_code, told.possibly_committed) == (code, False)
    assert told.retriable is rule.retriable
    if rule.action is not Action.ASK:  # then the text says what it was
        assert str(code) in str(told) or ErrorCode(code).name in str(told)


def no_coordinator(code: int) -> Step:
    def step(exchange: Exchange) -> None:
        asked = exchange.request.coordinator_keys  # or one, by older requests
        found = [Coordinator(key=key, error_code=code) for key in asked]
        exchange.send(FindCoordinatorResponse(coordinators=found) if asked else FindCoordinatorResponse(error_code=code))

    return step


def times(code: int) -> int:
    """How often it is answered: by the second time it is not for the few milliseconds that a pool adds."""
    return 2 if code == ErrorCode.INVALID_TRANSACTION_TIMEOUT else 1


def not_initialised(code: int) -> Step:
    return answer(InitProducerIdResponse(error_code=code))


def first_use(world: World, request: Request, wire: Any, step: Callable[[int], Step]) -> None:
    for code in REFUSALS:
        world.pool = str(code)
        world.broker.script(wire, *[step(code)] * (times(code) if wire is InitProducerIdRequest else 1))
        since = len(world.coordinator.ended)
        value, told = world.run()
        rule = action_for(request, code, state=State.INITIALIZING)
        if rule.action is Action.ASK:  # with nothing of its own to ask about
            assert told is None
        else:
            is_told(rule, code, told)
        world.check(value, told, since)


def test_to_find_coordinator_before_the_first_transaction(start_client: StartClient) -> None:
    world = World(start_client, True, REFUSALS)  # it comes before the versions differ
    with world.cluster:
        first_use(world, Request.FIND_COORDINATOR, FindCoordinatorRequest, no_coordinator)


def test_to_init_producer_id_before_the_first_transaction(start_client: StartClient) -> None:
    world = World(start_client, True, REFUSALS)
    with world.cluster:
        first_use(world, Request.INIT_PRODUCER_ID, InitProducerIdRequest, not_initialised)


@pytest.mark.parametrize("regrets", [False, True], ids=["committing", "aborting"])
def test_to_find_coordinator_while_a_transaction_is_ended(world: World, regrets: bool) -> None:
    """It is looked up until it is found: nothing that is said of it says anything of the transaction."""
    world.run()
    for code in REFUSALS:
        world.broker.script(EndTxnRequest, refuse_end(ErrorCode.NOT_COORDINATOR))
        world.broker.script(FindCoordinatorRequest, no_coordinator(code))
        since = len(world.coordinator.ended)
        value, told = world.run(regrets=regrets)
        assert isinstance(told, Regret) is regrets
        assert regrets or told is None
        assert len(world.coordinator.ended) == since + 1
        world.check(value, told, since)


def test_to_init_producer_id_when_an_identity_in_doubt_is_renewed(world: World) -> None:
    """ASK: DescribeTransactions says that nobody else has it."""
    world.run()
    for code in REFUSALS:
        # It is renewed at once, whoever wants it; the answer is the next owner's.
        awaited = Event()
        world.broker.script(EndTxnRequest, refuse_end(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED))
        world.broker.script(InitProducerIdRequest, after(awaited, not_initialised(code)), *[not_initialised(code)] * (times(code) - 1))
        assert isinstance(world.run(regrets=True)[1], Regret)
        since = len(world.coordinator.ended)
        owner = gevent.spawn(world.run)
        wait_until(lambda: world.client.status().txn_pools[0].waiting)
        awaited.set()
        value, told = owner.get(timeout=PATIENCE)
        rule = action_for(Request.INIT_PRODUCER_ID, code, state=State.INITIALIZING)
        if rule.action is Action.ASK:
            assert told is None
        else:
            is_told(rule, code, told)
        world.check(value, told, since)


def test_to_add_partitions(start_client: StartClient) -> None:
    world = World(start_client, is_v2=False)
    with world.cluster:
        for code in REFUSALS:
            world.broker.script(AddPartitionsToTxnRequest, refuse_adding(code))
            since = len(world.coordinator.ended)
            value, told = world.run()
            is_told(action_for(Request.ADD_PARTITIONS, code, state=State.IN_TRANSACTION), code, told)
            world.check(value, told, since)


def test_to_add_partitions_whose_transaction_is_being_aborted(start_client: StartClient) -> None:
    world = World(start_client, is_v2=False)
    with world.cluster:
        for code in CODES:
            since, answered = len(world.coordinator.ended), Event()

            world.broker.requests.clear()
            world.broker.script(AddPartitionsToTxnRequest, after(answered, refuse_adding(code) if code else good))
            owner = gevent.spawn(world.run, regrets=True, until=lambda: world.broker.wait_for(AddPartitionsToTxnRequest))
            world.broker.wait_for(AddPartitionsToTxnRequest)
            gevent.idle()
            assert world.broker.got(EndTxnRequest) == []
            answered.set()
            value, told = owner.get(timeout=PATIENCE)
            assert isinstance(told, Regret)
            assert value not in world.cluster.log("orders")
            world.check(value, told, since)


def test_to_produce(world: World) -> None:
    goes_again = (BatchAction.RETRY, BatchAction.REROUTE, BatchAction.DELIVERED, BatchAction.SPLIT)
    for code in REFUSALS:
        batch_rule = rule_for(code, True)
        world.broker.script(ProduceRequest, refuse(code, write=batch_rule.action is BatchAction.DELIVERED))
        since = len(world.coordinator.ended)
        value, told = world.run()
        if batch_rule.action not in goes_again:
            is_told(action_for(Request.PRODUCE, code, state=State.IN_TRANSACTION), code, told)
            assert value not in world.cluster.log("orders")
        world.check(value, told, since)


def test_to_a_commit(world: World) -> None:
    for code in REFUSALS:
        world.broker.script(EndTxnRequest, refuse_end(code))
        since = len(world.coordinator.ended)
        value, told = world.run()
        is_told(action_for(Request.END_TXN, code, state=State.COMMITTING), code, told)
        world.check(value, told, since)


def test_to_an_abort(world: World) -> None:
    """It passes what the block raised; and whatever it could not end, the producer's next use does."""
    for code in REFUSALS:
        world.broker.script(EndTxnRequest, refuse_end(code))
        since = len(world.coordinator.ended)
        value, told = world.run(regrets=True)
        assert isinstance(told, Regret)
        world.check(value, told, since)
        assert world.coordinator.ended[since] is False


def test_to_a_repeated_commit_that_was_done(world: World) -> None:
    """Where the answer does not say so its fate is unknown, and is not told as an abort."""
    for code in REFUSALS:
        rule = action_for(Request.END_TXN, code, state=State.COMMITTING)
        if code in (ErrorCode.INVALID_TXN_STATE, ErrorCode.TRANSACTION_ABORTABLE):
            continue  # no broker that has committed answers so
        world.broker.script(EndTxnRequest, done_then_cut, refuse_end(code))
        since = len(world.coordinator.ended)
        value, told = world.run()
        assert world.coordinator.ended[since:] == [True]
        if rule.action in GOES_ON:
            assert told is None
        else:
            assert isinstance(told, TransactionError)
            assert not isinstance(told, TransactionAborted)
            assert (told.error_code, told.possibly_committed) == (code, True)
        world.check(value, told, len(world.coordinator.ended) if told else since)


def described(code: int) -> Step:
    def step(exchange: Exchange) -> None:
        states = [TransactionState(error_code=code, transactional_id=name) for name in exchange.request.transactional_ids]
        exchange.send(DescribeTransactionsResponse(transaction_states=states))

    return step


@pytest.mark.parametrize("is_v2", [True, False], ids=["v2", "v1"])
def test_to_the_question_whether_a_transaction_timed_out_or_was_fenced(start_client: StartClient, is_v2: bool) -> None:
    """Answered with an error that does not pass it leaves the clock, which says that there was no time to time
    out, and the name, which others may have been given.
    """
    world = World(start_client, is_v2, CODES, named=True)
    with world.cluster:
        _ask_with_each_code(world)


def _ask_with_each_code(world: World) -> None:
    passing = [code for code in ErrorCode if code.retriable]
    for code in CODES:
        world.pool = str(code)
        asks_again = code in passing or code in (ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.NOT_COORDINATOR)
        goes_on = asks_again or code in (ErrorCode.NETWORK_EXCEPTION, ErrorCode.TRANSACTIONAL_ID_NOT_FOUND)
        world.broker.script(EndTxnRequest, refuse_end(ErrorCode.PRODUCER_FENCED), refuse_end(ErrorCode.PRODUCER_FENCED))
        world.broker.script(DescribeTransactionsRequest, described(code))
        since = len(world.coordinator.ended)
        value, told = world.run()
        if goes_on:
            assert isinstance(told, TransactionAborted)
            assert told.retriable
            world.check(value, told, since)
        else:
            assert isinstance(told, TransactionFenced)
            assert True not in world.coordinator.ended[since:]
            assert isinstance(world.run()[1], TransactionFenced)
