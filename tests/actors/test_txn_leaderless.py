"""A partition that loses its leader while it waits to be added to a transaction."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest
from gevent.event import Event

from klife import Client, Record
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.apis.produce import ProduceRequest
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, after
from tests.support.scripted_coordinator import ScriptedCoordinator

StartClient = Callable[..., Client]


def look_again(cluster: ScriptedCluster) -> None:
    """Wait until the client has been told of the cluster as it is now."""
    for broker in cluster.brokers.values():
        broker.requests.clear()
    with gevent.Timeout(PATIENCE):
        while sum(len(broker.got(MetadataRequest)) for broker in cluster.brokers.values()) < 3:
            gevent.sleep(0.01)


@pytest.mark.timeout(60)
def test_it_is_added_when_it_has_one_again_and_holds_nobody_up_meanwhile(start_client: StartClient) -> None:
    answered = Event()
    with ScriptedCluster(2, {"orders": 2}) as cluster:
        cluster.move("orders", 1, 2)
        coordinator = ScriptedCoordinator(cluster, is_v2=True)
        client = start_client(cluster, txn_pools=[{"name": "money", "pool_size": 1}], metadata_max_age_ms=50)
        with client.transaction():
            client.produce_batch([Record("orders", b"warm", partition=index) for index in (0, 1)])
        cluster[1].script(ProduceRequest, after(answered))
        with client.transaction():
            client.produce(Record("orders", b"first", partition=0))  # it has the turn
            cluster[1].wait_for(ProduceRequest, 2)
            delivery = client.produce(Record("orders", b"second", partition=1))
            gevent.idle()
            cluster.move("orders", 1, -1)
            look_again(cluster)
            answered.set()
            look_again(cluster)
            assert not delivery.done()
            cluster.move("orders", 1, 2)
        assert coordinator.ended == [True, True]
        assert cluster.log("orders", 1) == [b"warm", b"second"]
