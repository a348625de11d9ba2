"""Connections that nobody uses: who closes them, that nobody opens them again for nothing, and what brokers
see of their client.
"""

from __future__ import annotations

import sys
from typing import Any

import gevent
import pytest
from gevent import socket

from klife import Client, ConfigError, Record
from klife.actors import engines
from klife.api.config import ClientConfig
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.apis.produce import ProduceRequest
from tests.support.inside_client import broker_status
from tests.support.scripted_broker import PATIENCE, ScriptedCluster
from tests.support.told_logs import told_logs
from tests.support.waiting import wait_until

ORDER = Record(topic="orders", value=b"v")


def socket_of(client: Client) -> Any:
    return engines.find(client.name).metadata.broker(1).transport._sock  # type: ignore[union-attr]


def test_a_connection_the_broker_closes_for_being_idle_is_not_opened_again_until_it_is_needed(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 1, "returns": 1}) as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        wait_until(lambda: broker_status(client, None).state == "disconnected")
        connected = cluster[1].connections
        for round_number in range(3):
            cluster[1].cut_all()
            wait_until(lambda: broker_status(client, 1).state == "disconnected")
            gevent.sleep(0.1)  # it used to be opened again at once
            assert cluster[1].connections == connected + round_number
            client.produce(ORDER).get(PATIENCE)
            assert cluster[1].connections == connected + round_number + 1


def test_a_connection_that_is_reset_while_it_is_idle_is_no_failure(start_client: Any) -> None:
    with ScriptedCluster() as cluster, told_logs() as logs:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        wait_until(lambda: broker_status(client, None).state == "disconnected")
        for sock in list(cluster[1]._socks):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close with a RST
            sock._sock.close()
        wait_until(lambda: broker_status(client, 1).state == "disconnected")
        assert broker_status(client, 1).last_error is None
        assert not [event for event in logs if event["event"] == "connection_failed"]


def test_a_connection_without_requests_is_closed_after_connections_max_idle_ms_and_opened_when_it_is_needed(start_client: Any) -> None:
    with ScriptedCluster() as cluster, told_logs() as logs:
        client = start_client(cluster, connections_max_idle_ms=200)
        client.produce(ORDER).get(PATIENCE)
        wait_until(lambda: broker_status(client, 1).state == "disconnected")
        assert ("connection_closed", "nothing was sent for connections_max_idle_ms") in [
            (event["event"], event.get("reason")) for event in logs
        ]
        assert broker_status(client, 1).last_error is None
        assert client.produce(ORDER).get(PATIENCE).offset == 1
        assert not [event for event in logs if event["event"] == "connection_failed"]


def test_a_connection_in_use_is_not_idle_though_it_is_old_or_its_answer_slow(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, connections_max_idle_ms=1_000)  # a busy machine may stand still for a while in between
        client.produce(ORDER).get(PATIENCE)

        def slow(exchange: Any) -> None:
            gevent.sleep(1.5)
            exchange.send(exchange.good_answer())

        cluster[1].script(ProduceRequest, slow)
        client.produce(ORDER).get(PATIENCE)
        first, second = cluster[1].got(ProduceRequest)
        assert first.connection == second.connection


def test_0_keeps_idle_connections(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, connections_max_idle_ms=0)
        client.produce(ORDER).get(PATIENCE)
        gevent.sleep(0.1)
        assert broker_status(client, 1).state == "ready"


def test_kafkas_name_for_it_is_taken() -> None:
    properties = {"bootstrap.servers": "localhost:9092", "connections.max.idle.ms": "60000"}
    assert ClientConfig.from_properties(properties).connections_max_idle_ms == 60_000
    with pytest.raises(ConfigError, match=r"connections\.max\.idle\.ms"):
        ClientConfig.from_properties({**properties, "connections.max.idle.ms": "-1"})


# keepalive


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the names are Linux's")
def test_keepalive_finds_a_silent_balancer_out_within_a_minute_or_so(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        sock = socket_of(client)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, between, count = (
            sock.getsockopt(socket.IPPROTO_TCP, option) for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + between * count <= 60


def test_the_users_socket_options_win(start_client: Any) -> None:
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)]
    with ScriptedCluster() as cluster:
        client = start_client(cluster, socket_options=options)
        client.produce(ORDER).get(PATIENCE)
        sock = socket_of(client)
        assert [sock.getsockopt(level, option) for level, option, _ in options] == [0, 0]


# what brokers see


def test_brokers_see_the_same_client_ids_after_each_start_of_a_client_without_a_name(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        clients = [start_client(cluster) for _ in range(2)]
        for client in clients:
            client.produce(ORDER).get(PATIENCE)
        assert {request.client_id for request in cluster[1].got(ProduceRequest)} == {"klife_producer.klife.klife_default_producer"}
        assert {request.client_id for request in cluster[1].got(MetadataRequest)} == {"klife"}
        assert len({client.name for client in clients}) == 2
        assert Client.get(clients[1].name).name == clients[1].name


def test_a_client_with_a_name_has_it_in_its_client_ids(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        start_client(cluster, name="shop").produce(ORDER).get(PATIENCE)
        assert {request.client_id for request in cluster[1].got(ProduceRequest)} == {"klife_producer.shop.klife_default_producer"}
        assert {request.client_id for request in cluster[1].got(MetadataRequest)} == {"klife.shop"}


def test_a_name_that_is_taken_is_not_given_to_a_client_without_one(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        taken = start_client(cluster).name
        number = int(taken.removeprefix("klife-"))
        start_client(cluster, name=f"klife-{number + 1}")
        assert start_client(cluster).name not in (taken, f"klife-{number + 1}")
