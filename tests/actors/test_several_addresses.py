"""A name that stands for several addresses, of which some do not work: 127.0.0.0/8 has plenty of them.

The broker listens on 127.0.0.1; 127.0.0.2 and further play what else an answer of a name server may lead to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import pytest
from gevent import socket

from klife import Client, Record
from klife.protocol.apis.api_versions import ApiVersionsRequest
from klife.protocol.apis.metadata import MetadataRequest
from tests.support.inside_client import tells_why_it_is_not_ready
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, silent
from tests.support.waiting import wait_until

ORDER = Record(topic="orders", value=b"v")
NAME = "kafka.test"


class Names:
    """What the name stands for, and how often that was asked."""

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.asked = 0

    def getaddrinfo(self, host: str, port: int, *_more: Any) -> Any:
        if host == NAME:
            self.asked += 1
            hosts = self.hosts
        else:
            hosts = [host]
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)) for host in hosts]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    return names


class Address:
    """An address of no use: it drops SYNs, is silent, closes what it accepted, or refuses."""

    def __init__(self, host: str, port: int, kind: str) -> None:
        self.accepted = 0
        self._kind = kind
        self._open = ExitStack()
        if kind == "refuses":
            return
        listener = self._open.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0 if kind == "drops" else 16)
        if kind == "drops":  # fills the queue of those that nobody accepts
            self._open.enter_context(socket.socket()).connect((host, port))
        else:
            self._accepting = gevent.spawn(self._accept, listener)
            self._open.callback(self._accepting.kill)

    def _accept(self, listener: Any) -> None:
        while True:
            sock, _ = listener.accept()
            self.accepted += 1
            if self._kind == "closes":
                sock.close()
            else:
                self._open.enter_context(sock)

    def close(self) -> None:
        self._open.close()


@pytest.fixture
def broken(names: Names) -> Iterator[Any]:
    """Makes the name stand for addresses of these kinds, and then for the broker's."""
    made: list[Address] = []

    def make(cluster: ScriptedCluster, *kinds: str, good: bool = True) -> list[Address]:
        for number, kind in enumerate(kinds, 2):
            host = f"127.0.0.{number}"
            made.append(Address(host, cluster[1].port, kind))
            names.hosts.append(host)
        if good:
            names.hosts.append("127.0.0.1")
        return made

    yield make
    for address in made:
        address.close()


def start(cluster: ScriptedCluster, **options: Any) -> Client:
    options = {"connect_timeout_ms": 200, "reconnect_backoff_ms": 5, "reconnect_backoff_max_ms": 20, **options}
    return Client.start(f"{NAME}:{cluster[1].port}", **options)


@pytest.mark.parametrize("kind", ["drops", "silent", "closes", "refuses"])
def test_a_bootstrap_name_whose_first_addresses_do_not_work_leads_to_the_one_that_does(broken: Any, kind: str) -> None:
    with ScriptedCluster() as cluster:
        broken(cluster, kind, kind)
        with start(cluster) as client:
            client.wait_ready(PATIENCE)
            assert client.produce(ORDER).get(PATIENCE).offset == 0


def test_each_address_is_tried_though_the_first_takes_all_of_the_time_of_one(broken: Any) -> None:
    with ScriptedCluster() as cluster:
        broken(cluster, "drops", "silent", "closes", "refuses")
        with start(cluster) as client:
            client.wait_ready(PATIENCE)


@pytest.mark.parametrize("kind", ["drops", "silent", "closes"])
def test_an_advertised_name_whose_first_address_does_not_work_leads_to_the_one_that_does(broken: Any, kind: str) -> None:
    with ScriptedCluster() as cluster:
        broken(cluster, kind)

        def advertised(exchange: Any) -> None:
            response = exchange.good_answer()
            response.brokers[0].host = NAME
            exchange.send(response)

        cluster[1].always(MetadataRequest, advertised)
        with Client.start(cluster.bootstrap_servers, connect_timeout_ms=200, reconnect_backoff_ms=5) as client:
            assert client.produce(ORDER).get(PATIENCE).offset == 0


def test_an_address_that_answers_the_handshake_and_then_nothing_is_left_for_the_next(names: Names) -> None:
    with ScriptedCluster() as cluster, ScriptedCluster() as dumb:
        dumb[1].always(MetadataRequest, silent)
        dumb[1].stop()
        dumb_listener = socket.socket()
        dumb_listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        dumb_listener.bind(("127.0.0.2", cluster[1].port))
        dumb_listener.listen(16)
        server = gevent.server.StreamServer(dumb_listener, dumb[1]._serve)
        server.start()
        names.hosts = ["127.0.0.2", "127.0.0.1"]
        try:
            with start(cluster, request_timeout_ms=200, delivery_timeout_ms=10_000) as client:
                client.wait_ready(PATIENCE)
                assert len(dumb[1].got(ApiVersionsRequest)) == 1
        finally:
            server.stop(timeout=0)


def test_each_address_and_what_happened_there_is_told(broken: Any) -> None:
    with ScriptedCluster() as cluster:
        broken(cluster, "drops", "silent", "closes", "refuses", good=False)
        with start(cluster) as client:
            expected = [
                f"{NAME}:{cluster[1].port}",
                "127.0.0.2: connecting failed: no connection within 0.2 s",
                "127.0.0.3: the handshake was not through within 0.2 s",
                "127.0.0.4: the broker closed the connection",
                "127.0.0.5: connecting failed: .*refused",
            ]
            tells_why_it_is_not_ready(client, "(?s)" + ".*".join(expected), 1.0)


def test_the_name_is_looked_up_again_when_all_of_its_addresses_failed(broken: Any, names: Names) -> None:
    with ScriptedCluster() as cluster:
        broken(cluster, "refuses", "closes", good=False)
        with start(cluster) as client:
            wait_until(lambda: names.asked >= 3, PATIENCE)
            names.hosts = ["127.0.0.1"]
            client.wait_ready(PATIENCE)


def test_a_name_that_leads_nowhere_is_told_and_tried_again(names: Names) -> None:
    with ScriptedCluster() as cluster, start(cluster) as client:
        tells_why_it_is_not_ready(client, f"connecting failed: {NAME} has no address")
        names.hosts = ["127.0.0.1"]
        client.wait_ready(PATIENCE)
