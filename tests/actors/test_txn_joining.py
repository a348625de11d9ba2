"""Who joins a transaction, and has to wait for room, joins that one or none: never the next that its producer has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import Client, Record, TransactionMisused
from klife.actors.transactions import choice
from klife.protocol.apis.produce import ProduceRequest
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, after
from tests.support.scripted_coordinator import ScriptedCoordinator
from tests.support.waiting import wait_until

StartClient = Callable[..., Client]


def test_a_record_that_waited_for_room_until_its_transaction_was_over_is_in_no_other(
    start_client: StartClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "RESTED", 0.0)  # so that the producer would have the next one at once
    answered = Event()
    with ScriptedCluster(2, {"orders": 1, "others": 1}) as cluster:
        cluster.move("others", 0, 2)
        coordinator = ScriptedCoordinator(cluster, is_v2=True)
        pools: list[dict[str, Any]] = [{"name": "money", "pool_size": 1}]
        client = start_client(cluster, txn_pools=pools, max_buffered_bytes=20_000, max_block_ms=60_000)
        client.produce_batch_txn([Record("orders", b"warm")])
        cluster[2].script(ProduceRequest, after(answered))
        filling = client.produce(Record("others", b"f" * 15_000))  # takes the room until it is answered
        cluster[2].wait_for(ProduceRequest)
        with client.transaction() as txn:
            client.produce(Record("orders", b"first")).get(PATIENCE)
            joining = gevent.spawn(txn.produce, Record("orders", b"j" * 10_000))
            wait_until(lambda: bool(client.status().waiting_for_buffer), PATIENCE)
        with client.transaction():
            answered.set()
            filling.get(PATIENCE)
            joining.join(PATIENCE)
            client.produce(Record("orders", b"second")).get(PATIENCE)
        with pytest.raises(TransactionMisused, match="committed"):
            joining.get(PATIENCE)
        assert cluster.log("orders") == [b"warm", b"first", b"second"]
        assert coordinator.ended == [True, True, True]
