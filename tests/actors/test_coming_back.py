"""The brokers are back after they were all away: nobody then waits out a backoff that grew meanwhile, and what
health calls green takes records.
"""

from __future__ import annotations

from typing import Any

from klife import Client, Record
from klife.actors import engines
from klife.actors.network.broker import Broker
from klife.actors.network.purpose import Purpose
from klife.protocol.apis.metadata import MetadataRequest
from tests.support.scripted_broker import PATIENCE, ScriptedCluster
from tests.support.waiting import wait_until

ORDER = Record("orders", b"v", partition=0)
HOURS = 3600.0
SILENCE_MS = 300


def broker_of(client: Client, node_id: int) -> Broker:
    engine = engines.find(client.name)
    assert engine is not None
    return engine.metadata.brokers[node_id, Purpose.REQUESTS]


def away(cluster: ScriptedCluster, *node_ids: int) -> None:
    for node_id in node_ids:
        cluster[node_id].stop()
        cluster[node_id].cut_all()


def waits_for_hours(client: Client, node_id: int) -> None:
    """As if the broker had failed many times, with a `reconnect_backoff_max_ms` of hours."""
    broker = broker_of(client, node_id)
    broker.settings = broker.settings._replace(reconnect_backoff=HOURS, reconnect_backoff_max=HOURS)


def fails(client: Client, node_id: int) -> None:
    """Somebody wants a connection to the broker, in vain."""
    broker = broker_of(client, node_id)
    wait_until(lambda: not broker.is_connected)
    broker.when_ready(lambda: None)
    wait_until(lambda: broker.failing_since is not None)


def is_listed(client: Client, node_id: int) -> bool:
    engine = engines.find(client.name)
    assert engine is not None
    return node_id in engine.metadata.snapshot.brokers


def test_what_reaches_the_cluster_first_has_the_others_try_at_once(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        waits_for_hours(client, 1)  # and the bootstrap address, which is the same, for 20 ms
        away(cluster, 1)
        late = client.produce(ORDER)
        wait_until(lambda: not client.healthy(max_silence_ms=SILENCE_MS))
        wait_until(lambda: broker_of(client, 1).failing_since is not None)
        cluster[1].listen()
        wait_until(lambda: client.healthy(max_silence_ms=SILENCE_MS))
        assert client.produce(ORDER).get(PATIENCE).error is None
        assert late.get(PATIENCE).error is None


def test_a_broker_that_is_listed_again_is_tried_at_once(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        client = start_client(cluster, metadata_max_age_ms=50)
        cluster.move("orders", 0, 2)
        client.produce(ORDER).get(PATIENCE)
        waits_for_hours(client, 2)
        away(cluster, 2)
        fails(client, 2)
        back = cluster.brokers.pop(2)
        cluster.move("orders", 0, -1)
        waiting = client.produce(ORDER)
        wait_until(lambda: not is_listed(client, 2))
        back.listen()
        cluster.brokers[2] = back
        cluster.move("orders", 0, 2)
        assert waiting.get(PATIENCE).error is None


def test_a_connection_that_is_made_again_and_again_has_others_tried_no_more_than_once(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        waits_for_hours(client, 2)
        away(cluster, 2)
        fails(client, 2)
        tried = broker_of(client, 2).connects
        asked = len(cluster[1].wait_for(MetadataRequest, 1))
        for number in range(3):
            broker_of(client, 1).fail("a connection that breaks now and then")
            assert client.produce(ORDER).get(PATIENCE).error is None
            cluster[1].wait_for(MetadataRequest, asked + number + 1)
        assert broker_of(client, 2).connects <= tried + 1
