"""A code of each rule, in each situation a batch can be in, over real sockets: the outcome is the one the
table says.

Nothing but the rule decides, and that every code has the right one is for `test_refusal`, where the table is
written out again. Here it is what the records, the requests and the log have to show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import Client, DeliveryTimeout, Record
from klife.actors.producer.policy import Action, Rule, rule_for
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.error_codes import ErrorCode, describe
from tests.support.inside_client import let_deadlines_pass, producer_of
from tests.support.scripted_broker import PATIENCE, Exchange, ScriptedCluster, Step, after, refuse
from tests.support.waiting import wait_until

NOT_KAFKAS = 4711
CODES = [*{(rule_for(code).action, rule_for(code).fate_unknown): code for code in reversed(ErrorCode) if code}.values(), NOT_KAFKAS]
GOES_AGAIN = (Action.RETRY, Action.REROUTE, Action.RENUMBER, Action.NEW_ID)  # after a pause; all others are settled, or go at once
StartClient = Callable[..., Client]


def name_of(code: int) -> str:
    return getattr(code, "name", f"code {code}")


a_code_of_each_rule = pytest.mark.parametrize("code", CODES, ids=name_of)


def refused(code: int) -> Step:
    return refuse(code, write=rule_for(code).action is Action.DELIVERED)  # such a code says that the batch is in the log


def pair(client: Client, name: str) -> Any:
    return client.produce_batch([Record("orders", f"{name}{number}".encode()) for number in (1, 2)])


def warm_client(start_client: StartClient, cluster: ScriptedCluster, **options: Any) -> Client:
    """A client whose partition has a history at the broker: records under numbers 0 and 1."""
    client = start_client(cluster, **options)
    pair(client, "warm").get(PATIENCE)
    return client


def check(results: list[Record], code: int, rule: Rule) -> bool:
    """The outcome of a batch of two that was answered with `code` once; True if it is in the log."""
    errors = [result.error for result in results]
    if rule.action in (Action.FAIL, Action.REJECT_RECORDS):
        assert [error and (error.error_code, error.possibly_persisted) for error in errors] == [(code, rule.fate_unknown)] * 2
        return False
    assert errors == [None, None]
    return True


@a_code_of_each_rule
def test_answered_to_the_only_batch_in_flight(start_client: StartClient, code: int) -> None:
    with ScriptedCluster() as cluster:
        client = warm_client(start_client, cluster)
        rule = rule_for(code)
        cluster[1].script(ProduceRequest, refused(code))
        written = check(results := pair(client, "x").get(PATIENCE), code, rule)
        pair(client, "next").get(PATIENCE)
        assert cluster.log("orders") == [b"warm1", b"warm2", *([b"x1", b"x2"] if written else []), b"next1", b"next2"]
        if written and rule.action is not Action.DELIVERED:
            assert [result.offset for result in results] == [2, 3]
        check_numbers(cluster[1].got(ProduceRequest), rule.action)


def numbers(requests: list[Exchange]) -> list[tuple[int, int, int]]:
    """Producer id, epoch and sequence of each batch."""
    return [number[1:] for request in requests for number in request.numbers]


def check_numbers(requests: list[Exchange], action: Action) -> None:
    (producer_id, *_), first, *again, following = numbers(requests)
    assert first == (producer_id, 0, 2)
    old, bumped, renewed = (producer_id, 0), (producer_id, 1), (producer_id + 1, 0)
    expected = {
        Action.DELIVERED: ([], (*old, 4)),
        Action.RETRY: ([(*old, 2)], (*old, 4)),
        Action.REROUTE: ([(*old, 2)], (*old, 4)),
        Action.SPLIT: ([(*old, 2), (*old, 3)], (*old, 4)),
        Action.RENUMBER: ([(*bumped, 0)], (*bumped, 2)),
        Action.NEW_ID: ([(*renewed, 0)], (*renewed, 2)),
        Action.REJECT_RECORDS: ([], (*bumped, 0)),
        Action.FAIL: ([], (*bumped, 0)),
    }[action]
    assert (again, following) == expected


@a_code_of_each_rule
def test_answered_to_the_first_of_three_in_flight(start_client: StartClient, code: int) -> None:
    with ScriptedCluster() as cluster:
        client = warm_client(start_client, cluster, max_in_flight_requests=5)
        held = Event()
        cluster[1].script(ProduceRequest, after(held, refused(code)))
        deliveries = []
        for count, name in enumerate("xyz", 1):
            deliveries.append(pair(client, name))
            wait_until(lambda count=count: in_flight(client) == count)  # type: ignore[misc]
        held.set()
        first, *others = [delivery.get(PATIENCE) for delivery in deliveries]
        written = check(first, code, rule_for(code))
        log = cluster.log("orders")
        assert log == [b"warm1", b"warm2", *([b"x1", b"x2"] if written else []), b"y1", b"y2", b"z1", b"z2"]
        for result in (record for records in others for record in records):
            assert (result.error, log[result.offset or 0]) == (None, result.value)
        if rule_for(code).action in (Action.DELIVERED, Action.RETRY, Action.REROUTE, Action.SPLIT):
            # The others were refused for coming too early (45). No number is lost for that.
            assert {epoch for request in cluster[1].got(ProduceRequest) for _, _, epoch, _ in request.numbers} == {0}


def in_flight(client: Client) -> int:
    return sum(broker.in_flight for broker in client.status().brokers if broker.node_id == 1)


@pytest.mark.parametrize("code", [code for code in CODES if rule_for(code).action in GOES_AGAIN], ids=name_of)
def test_answered_again_and_again_until_the_deadline(start_client: StartClient, code: int) -> None:
    rule = rule_for(code)
    with ScriptedCluster() as cluster:
        client = warm_client(start_client, cluster, retry_backoff_ms=30_000, retry_backoff_max_ms=30_000)
        cluster[1].always(ProduceRequest, refuse(code, error_message="as told"))
        delivery = pair(client, "x")
        wait_until(lambda: producer_of(client).retries == 1)
        let_deadlines_pass(client)
        for result in delivery.get(PATIENCE):
            assert isinstance(result.error, DeliveryTimeout)
            assert result.error.possibly_persisted is rule.fate_unknown
            assert result.error_code == result.error.error_code == code
            assert f"the last refusal was {describe(code)} (as told); {rule.advice}".rstrip("; ") in str(result.error)
        cluster[1].always(ProduceRequest, None)
        gevent.sleep(0)
        assert len(cluster[1].got(ProduceRequest)) == 2


@a_code_of_each_rule
def test_answered_when_the_deadline_has_passed_already(start_client: StartClient, code: int) -> None:
    with ScriptedCluster() as cluster:
        client = warm_client(start_client, cluster)
        held = Event()
        cluster[1].script(ProduceRequest, after(held, refused(code)))
        delivery = pair(client, "x")
        cluster[1].wait_for(ProduceRequest, 2)
        let_deadlines_pass(client)
        for result in delivery.get(PATIENCE):
            assert isinstance(result.error, DeliveryTimeout)
            assert result.error.possibly_persisted
        held.set()
        assert all(result.error is None for result in pair(client, "next").get(PATIENCE))
        (producer_id, *_), _, *following = numbers(cluster[1].got(ProduceRequest))
        assert following == [(producer_id, 1, 0)]  # the numbers that may be lost are not counted on (KIP-360)
        late = [b"x1", b"x2"] if rule_for(code).action is Action.DELIVERED else []
        assert cluster.log("orders") == [b"warm1", b"warm2", *late, b"next1", b"next2"]
