"""Values of a megabyte to brokers that read slowly: a request is offered to the socket once, and again each time it
takes more; nobody is woken for less, and no byte is copied meanwhile.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from klife import Client, Record
from klife.actors.network import transport
from klife.protocol.apis.produce import ProduceRequest
from tests.support.scripted_broker import PATIENCE, ScriptedCluster
from tests.support.secured import broker_context, made_in

MEGABYTE = 1_000_000
SMALL = (socket.SOL_SOCKET, socket.SO_SNDBUF, 128 * 1024)  # the kernel doubles it; a megabyte does not go in at once
MOST_WRITES = 32  # of a megabyte: the kernel says that there is room when a third of it is free
PIECE = 65_536  # bytes that are encrypted at once


class WatchedSocket:
    """A socket, and what each call moved. `offered` are the parts of each write, and how many of their bytes were
    taken.
    """

    all: list[WatchedSocket]

    def __init__(self, fileno: int) -> None:
        self._sock = socket.socket(fileno=fileno)
        self.offered: list[tuple[list[Any], int]] = []
        self.received: list[int] = []
        self.all.append(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def send(self, part: Any) -> int:
        return self._noted([part], self._sock.send, part)

    def sendmsg(self, parts: list[Any]) -> int:
        return self._noted(parts, self._sock.sendmsg, parts)

    def recv(self, size: int) -> bytes:
        self.received.append(0)
        data = self._sock.recv(size)
        self.received[-1] = len(data)
        return data

    def _noted(self, parts: list[Any], send: Any, what: Any) -> int:
        self.offered.append((parts, 0))
        taken: int = send(what)
        self.offered[-1] = parts, taken
        return taken


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> list[WatchedSocket]:
    """Those that transports have taken over, from now on."""
    WatchedSocket.all = []
    monkeypatch.setattr(transport, "_plain_socket", WatchedSocket)
    return WatchedSocket.all


def delivered(client: Client, cluster: ScriptedCluster) -> list[bytes]:
    """Some values of a megabyte, once they are delivered."""
    values = [bytes([number]) * MEGABYTE for number in range(4)]
    for delivery in [client.produce(Record("orders", value)) for value in values]:
        delivery.get(PATIENCE)
    assert cluster.log("orders") == values
    assert len(cluster[1].got(ProduceRequest)) == len(values)
    return values


@pytest.mark.parametrize(
    "options", [{}, {"run_in": "thread"}, {"max_in_flight_requests": 5}], ids=["one at a time", "in a thread", "five at once"]
)
def test_a_slow_reader_wakes_for_room_and_for_answers_and_for_nothing_else(
    start_client: Any, sockets: list[WatchedSocket], options: dict[str, Any]
) -> None:
    with ScriptedCluster(record_limit=2 * MEGABYTE) as cluster:
        client = start_client(cluster, socket_options=[SMALL], **options)
        values = delivered(client, cluster)
        client.stop()
    [producing] = [each for each in sockets if sum(taken for _, taken in each.offered) > MEGABYTE]
    assert all(taken for _, taken in producing.offered), "the socket was tried before it had room"
    assert all(producing.received), "a read found nothing"
    assert len(producing.offered) < MOST_WRITES * len(values)
    large = [part for parts, _ in producing.offered for part in parts if len(part) > 1000]
    assert {id(part.obj if isinstance(part, memoryview) else part) for part in large} == set(map(id, values)), "a copy was made"


def test_over_tls_a_slow_reader_wakes_for_room_and_for_nothing_else(
    start_client: Any, sockets: list[WatchedSocket], tmp_path: Path
) -> None:
    certificates = made_in(tmp_path)
    with ScriptedCluster(record_limit=2 * MEGABYTE, tls=broker_context(certificates)) as cluster:
        client = start_client(cluster, socket_options=[SMALL], tls={"ca_file": certificates.ca_file})
        values = delivered(client, cluster)
        client.stop()
    [producing] = [each for each in sockets if sum(taken for _, taken in each.offered) > MEGABYTE]
    assert all(taken for _, taken in producing.offered), "the socket was tried before it had room"
    assert len(producing.offered) < (MEGABYTE // PIECE + MOST_WRITES) * len(values)
    assert max(len(part) for parts, _ in producing.offered for part in parts) < 2 * PIECE, "memory holds more than a piece twice"
