"""Connections over a client's life: quotas, idle times, brokers that leave, and clusters that are found
again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gevent import socket

from klife import Client, NotReady, Record
from klife.protocol.apis.api_versions import ApiVersionsRequest
from klife.protocol.apis.metadata import MetadataRequest, MetadataResponse
from klife.protocol.apis.produce import ProduceRequest
from tests.support.inside_client import broker_status, nodes, tells_why_it_is_not_ready
from tests.support.scripted_broker import PATIENCE, Exchange, ScriptedCluster, Step, answer, cut, good, throttle
from tests.support.told_logs import told_logs
from tests.support.waiting import wait_until, wait_until_known

ORDER = Record(topic="orders", value=b"v")


# waiting


@pytest.mark.parametrize("request_class", [ProduceRequest, MetadataRequest])
def test_a_broker_that_asks_for_a_pause_gets_it(start_client: Any, request_class: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].script(request_class, throttle(300))
        if request_class is ProduceRequest:
            client.produce(ORDER).get(PATIENCE)
        else:
            cluster.create_topic("another", 1)
            client.partitions("another")
        throttled = cluster[1].got(request_class)[-1]
        before = len(cluster[1].requests)
        assert client.produce(ORDER).get(PATIENCE).error is None
        assert cluster[1].requests[before].at - throttled.at > 0.29
        assert cluster[1].requests[before].connection == throttled.connection


# closing


def test_a_connection_closed_for_being_idle_is_no_failure(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        wait_until(lambda: broker_status(client, None).state == "disconnected")
        with told_logs() as logs:
            cluster[1].cut_all()
            wait_until(lambda: any(event["event"] == "connection_closed" for event in logs))
            assert broker_status(client, 1).last_error is None
            assert client.produce(ORDER).get(PATIENCE).offset == 1
        assert [event for event in logs if event["log_level"] not in ("debug", "info")] == []


def test_a_connection_closed_while_somebody_waits_for_an_answer_is_a_failure(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].script(ProduceRequest, cut)
        with told_logs() as logs:
            client.produce(ORDER).get(PATIENCE)
        assert ("warning", "connection_failed") in [(event["log_level"], event["event"]) for event in logs]


@pytest.mark.parametrize("then", [cut, good])
def test_a_broker_that_closes_every_connection_at_once_is_tried_with_growing_pauses(start_client: Any, then: Step) -> None:
    def leave(exchange: Exchange) -> None:
        then(exchange)
        cut(exchange)

    with ScriptedCluster() as cluster:
        cluster[1].always(ApiVersionsRequest, leave)
        client = start_client(cluster, reconnect_backoff_ms=20, reconnect_backoff_max_ms=10_000)
        with pytest.raises(NotReady):
            client.wait_ready(0.5)
        wait_until(lambda: cluster[1].connections >= 2)
        assert cluster[1].connections <= 12  # some six; without pauses there would be hundreds


def test_an_address_that_swallows_everything_is_given_up_after_the_connect_timeout() -> None:
    with socket.socket() as listener, socket.socket() as other:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        other.connect(listener.getsockname())  # fills the queue of those that nobody accepts
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with Client.start(address, connect_timeout_ms=50) as client:
            tells_why_it_is_not_ready(client, r"no connection within 0\.05 s")


# brokers that come and go


def test_a_broker_that_left_for_good_is_forgotten_with_all_that_belonged_to_it(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        cluster.move("orders", 0, 2)
        client = start_client(cluster, metadata_max_age_ms=50)
        client.produce(ORDER).get(PATIENCE)
        gone = cluster.brokers.pop(2)
        gone.stop()
        cluster.move("orders", 0, 1)
        assert client.produce(ORDER).get(PATIENCE).offset == 1
        wait_until(lambda: broker_status(client, 2) is None)
        names = {str(found.id) for found in nodes(client.tree())}
        assert {"broker 1", "batcher 1.0"} <= names
        assert not {"broker 2", "batcher 2.0"} & names
        cluster.brokers[2] = gone  # it comes back all the same
        gone.listen()
        cluster.move("orders", 0, 2)
        wait_until(lambda: client.produce(ORDER).get(PATIENCE) and gone.got(ProduceRequest)[1:])


def test_a_broker_that_is_away_for_a_while_is_kept(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        client = start_client(cluster, max_block_ms=300, topics=[{"name": ORDER.topic}])
        wait_until_known(client, ORDER.topic)
        client.produce(ORDER).get(PATIENCE)
        gone = cluster.brokers.pop(2)
        gone.stop()
        seen = cluster[1].got(MetadataRequest)
        client.produce_batch([Record("unheard-of", b"v")])  # which asks the cluster again and again until it gives up
        assert len(cluster[1].got(MetadataRequest)) > len(seen)
        assert broker_status(client, 2) is not None


def test_records_that_wait_for_a_broker_outlast_its_absence(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        cluster.move("orders", 0, 2)
        client = start_client(cluster, metadata_max_age_ms=50)
        client.produce(ORDER).get(PATIENCE)
        gone = cluster.brokers.pop(2)
        gone.stop()
        delivery = client.produce(ORDER)
        asked = len(cluster[1].got(MetadataRequest))
        cluster[1].wait_for(MetadataRequest, asked + 5)  # long past the age at which it could be forgotten
        assert not delivery.done()
        cluster.brokers[2] = gone
        gone.listen()
        assert delivery.get(PATIENCE).offset == 1


def test_when_the_bootstrap_list_is_dead_the_other_brokers_will_do(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        client = Client.start(cluster[1].address, reconnect_backoff_max_ms=50)
        try:
            client.produce(ORDER).get(PATIENCE)
            cluster[1].stop()
            cluster.move("orders", 0, 2)
            assert client.produce(ORDER).get(PATIENCE).offset == 1
            cluster.create_topic("later", 1)
            cluster.move("later", 0, 2)
            assert client.produce(Record("later", b"v")).get(PATIENCE).offset == 0
        finally:
            client.stop(0)


def only(*node_ids: int) -> Callable[[Exchange], None]:
    """Answer Metadata as a cluster in which there are only these brokers."""

    def step(exchange: Exchange) -> None:
        response = exchange.good_answer()
        response.brokers = [broker for broker in response.brokers if broker.node_id in node_ids]
        exchange.send(response)

    return step


def test_when_all_known_brokers_are_gone_the_bootstrap_list_is_asked_again(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        cluster[1].always(MetadataRequest, only(1))
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].stop()
        cluster[2].always(MetadataRequest, only(2))
        cluster.move("orders", 0, 2)
        assert client.produce(ORDER).get(PATIENCE).offset == 1


def test_a_cluster_that_wants_its_clients_to_start_over_is_left_for_the_bootstrap_list(start_client: Any) -> None:
    with ScriptedCluster(brokers=3) as cluster:
        for node_id in (1, 2, 3):
            cluster[node_id].always(MetadataRequest, only(3))
        cluster.move("orders", 0, 3)
        client = Client.start(f"{cluster[1].address},{cluster[2].address}", metadata_max_age_ms=100, reconnect_backoff_ms=5)
        try:
            client.produce(ORDER).get(PATIENCE)
            asked = len(cluster[3].got(MetadataRequest))  # on a slow machine its metadata has been refreshed already
            cluster[3].always(MetadataRequest, answer(MetadataResponse(error_code=129)))
            for node_id in (1, 2):
                cluster[node_id].always(MetadataRequest, only(1, 2))
            cluster[3].wait_for(MetadataRequest, asked + 1)
            cluster.move("orders", 0, 2)
            assert client.produce(ORDER).get(PATIENCE).offset == 1
            assert len(cluster[3].got(MetadataRequest)) == asked + 1
        finally:
            client.stop(0)
