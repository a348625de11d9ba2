"""CONCURRENT_TRANSACTIONS (51): the coordinator is still writing what this id, or its last transaction, wants
written. That takes milliseconds, and so the same is asked again soon, whatever the usual backoff; less and
less often, where it takes longer.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from time import monotonic
from typing import Any, NamedTuple

import pytest

from klife import Client, Record
from klife.actors.network.backoff import SOON
from klife.actors.producer.policy import rule_for
from klife.actors.producer.refusal import Refusal
from klife.protocol.apis.add_partitions_to_txn import AddPartitionsToTxnRequest
from klife.protocol.apis.end_txn import EndTxnRequest
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.error_codes import ErrorCode
from tests.support.producer_parts import Parts
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, Step, answer, refuse
from tests.support.scripted_coordinator import ScriptedCoordinator, refuse_adding, refuse_end

CONCURRENT = ErrorCode.CONCURRENT_TRANSACTIONS
USUAL_MS = 60_000  # no test waits for that
REFUSALS = 3
LEAST = 0.8  # of a backoff, by its jitter


class Case(NamedTuple):
    is_v2: bool
    request: Any
    step: Step


CASES = {
    "InitProducerId": Case(True, InitProducerIdRequest, answer(InitProducerIdResponse(error_code=CONCURRENT))),
    "AddPartitionsToTxn, v1": Case(False, AddPartitionsToTxnRequest, refuse_adding(CONCURRENT)),
    "Produce, v1": Case(False, ProduceRequest, refuse(CONCURRENT)),
    "Produce, v2": Case(True, ProduceRequest, refuse(CONCURRENT)),
    "EndTxn, v1": Case(False, EndTxnRequest, refuse_end(CONCURRENT)),
    "EndTxn, v2": Case(True, EndTxnRequest, refuse_end(CONCURRENT)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_same_is_asked_again_soon_and_then_less_often(start_client: Callable[..., Client], case: Case) -> None:
    with ScriptedCluster() as cluster:
        ScriptedCoordinator(cluster, is_v2=case.is_v2)
        money = {"name": "money", "pool_size": 1, "retry_backoff_ms": USUAL_MS, "retry_backoff_max_ms": USUAL_MS}
        client = start_client(cluster, txn_pools=[money])
        client.produce(Record("orders", b"plain")).get(PATIENCE)  # with its own producer's id, so that the script is the pool's
        cluster[1].requests.clear()
        cluster[1].script(case.request, *[case.step] * REFUSALS)
        client.produce_batch_txn([Record("orders", b"v")])
        asked = [each.at for each in cluster[1].got(case.request)]
        waits = [after - before for before, after in pairwise(asked)]
        assert len(waits) == REFUSALS
        assert all(wait >= LEAST * SOON * 2**failures for failures, wait in enumerate(waits))
        assert cluster.log("orders") == [b"plain", b"v"]


@pytest.mark.parametrize("usual", [0.001, 0.1, 60.0], ids="usual {}".format)
@pytest.mark.parametrize("transactional_id", ["shop-0", None], ids=["in a transaction", "without"])
def test_a_batch_waits_for_so_long_at_most(transactional_id: str | None, usual: float) -> None:
    highest = 100 * usual
    parts = Parts(transactional_id=transactional_id, retry_backoff=usual, retry_backoff_max=highest)
    batch = parts.sent()
    partition = parts.of(batch)
    first = min(usual, SOON) if transactional_id else usual
    for failures in range(12):
        now = monotonic()
        parts.producer.refused(partition, batch, Refusal(CONCURRENT, rule_for(CONCURRENT, transactional_id is not None), None, {}))
        expected = min(first * 2**failures, highest)
        assert LEAST * expected <= partition.retry_at - now <= 1.2 * expected + 1.0
        parts.send(batch)
