"""The proxy forwards, and does to connections what it is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.server import StreamServer

from tests.chaos.proxy import Proxy

PATIENCE = 10.0


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy before a server that sends back what it gets, in capitals."""

    def answer(sock: Any, _address: object) -> None:
        while data := sock.recv(1000):
            sock.sendall(data.upper())

    server = StreamServer(("127.0.0.1", 0), answer)
    server.start()
    proxy = Proxy()
    proxy.target = "127.0.0.1", server.server_port
    yield proxy
    proxy.close()
    server.stop()


def connect(proxy: Proxy) -> Any:
    host, _, port = proxy.address.rpartition(":")
    sock = gevent.socket.create_connection((host, int(port)), PATIENCE)
    sock.sendall(b"a")
    assert sock.recv(10) == b"A"
    return sock


def nothing_comes(sock: Any) -> bool:
    sock.settimeout(0.1)
    try:
        sock.recv(10)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(PATIENCE)
    return False


def until_reset(sock: Any) -> bytes:
    received = b""
    while True:
        try:
            data = sock.recv(10)
        except ConnectionResetError:
            return received
        assert data, "it was closed in order"
        received += data


def test_it_forwards_both_ways(proxy: Proxy) -> None:
    sock = connect(proxy)
    sock.sendall(b"more")
    assert sock.recv(10) == b"MORE"


def test_a_cut_resets_connections_and_takes_new_ones(proxy: Proxy) -> None:
    sock = connect(proxy)
    proxy.strike("cut", 0.0, 0)
    with pytest.raises(ConnectionResetError):
        sock.recv(10)
    connect(proxy)


def test_a_cut_inside_an_answer_lets_its_beginning_through(proxy: Proxy) -> None:
    sock = connect(proxy)
    proxy.strike("cut inside an answer", 0.0, 203)
    sock.sendall(b"abcdef")
    assert until_reset(sock) in (b"", b"ABC")  # a reset may overtake what was sent before it


def test_answers_are_lost_for_a_time_and_then_the_connection(proxy: Proxy) -> None:
    sock = connect(proxy)
    strike = gevent.spawn(proxy.strike, "lose answers", 0.3, 0)
    gevent.sleep(0)
    sock.sendall(b"b")
    assert nothing_comes(sock)
    strike.get(timeout=PATIENCE)
    with pytest.raises(ConnectionResetError):
        sock.recv(10)
    connect(proxy)


def test_a_black_hole_holds_everything_and_gives_it_back(proxy: Proxy) -> None:
    sock = connect(proxy)
    strike = gevent.spawn(proxy.strike, "black hole", 0.3, 0)
    gevent.sleep(0)
    sock.sendall(b"b")
    assert nothing_comes(sock)
    strike.get(timeout=PATIENCE)
    assert sock.recv(10) == b"B"


def test_slowness_ends(proxy: Proxy) -> None:
    sock = connect(proxy)
    proxy.strike("slow", 0.05, 0)
    sock.sendall(b"b")
    assert sock.recv(10) == b"B"
    assert proxy._slow is False


def test_without_a_broker_connections_are_closed() -> None:
    proxy = Proxy()
    try:
        host, _, port = proxy.address.rpartition(":")
        assert gevent.socket.create_connection((host, int(port)), PATIENCE).recv(10) == b""
    finally:
        proxy.close()
