"""Records that arrive after the abort of their transaction, on a Kafka whose leaders ask nobody whether it is open
(before 3.6): they keep nobody waiting, and are in no other transaction.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gevent
import pytest
from gevent.server import StreamServer

from klife import Client, Record
from klife.actors.transactions import choice, pool
from klife.protocol.apis.produce import ProduceRequest
from klife.testing.cluster import KafkaCluster
from tests.chaos.witness import held_up
from tests.support.own_cluster import own_cluster
from tests.support.reader import read_isolated
from tests.support.waiting import wait_until

PATIENCE = 60.0


class Holding:
    """A proxy that keeps one Produce, and closes its connection, until it is let through."""

    def __init__(self) -> None:
        self.target: tuple[str, int] | None = None
        self.holds = False
        self.held: list[bytes] = []
        self._server = StreamServer(("127.0.0.1", 0), self._accepted)
        self._server.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.stop()

    def let_through(self) -> bytes:
        """What was held back reaches the broker now; the answer."""
        broker = gevent.socket.create_connection(self.target)
        with broker, broker.makefile("rb") as answers:
            broker.sendall(self.held.pop())
            (size,) = struct.unpack(">i", answers.read(4))
            answer: bytes = answers.read(size)
            return answer

    def _accepted(self, client: Any, _address: object) -> None:
        with suppress(OSError), client, gevent.socket.create_connection(self.target) as broker:
            answering = gevent.spawn(self._answers, client, broker)
            for request in _requests(client):
                (api_key,) = struct.unpack(">h", request[4:6])
                if self.holds and api_key == ProduceRequest.API_KEY:
                    self.holds = False
                    self.held.append(request)
                    break
                broker.sendall(request)
            answering.kill()

    @staticmethod
    def _answers(client: Any, broker: Any) -> None:
        with suppress(OSError):
            while data := broker.recv(65_536):
                client.sendall(data)


def _requests(client: Any) -> Iterator[bytes]:
    """Each with its length."""
    with client.makefile("rb") as stream:
        while length := stream.read(4):
            yield length + stream.read(struct.unpack(">i", length)[0])


@pytest.fixture(scope="module")
def proxy() -> Iterator[Holding]:
    made = Holding()
    yield made
    made.close()


@pytest.fixture(scope="module")
def cluster(proxy: Holding) -> Iterator[KafkaCluster]:
    with own_cluster(1, version="3.5", backend="jars", proxies={1: proxy.address}) as running:
        host, _, port = running.bootstrap_servers_for("PROXIED").rpartition(":")
        proxy.target = host, int(port)
        yield running


@pytest.mark.parametrize("base_txn_id", ["", "shop"], ids=["random id", "given id"])
def test_what_arrives_late_is_refused_and_the_producers_next_transaction_is_its_own(
    cluster: KafkaCluster, proxy: Holding, monkeypatch: pytest.MonkeyPatch, base_txn_id: str
) -> None:
    monkeypatch.setattr(choice, "RESTED", 0.0)  # so that one producer has all transactions
    for module in (choice, pool):
        monkeypatch.setattr(module, "MADE_PER_OPEN", 1)
    topic = f"orders-{base_txn_id}"
    cluster.create_topic(topic, 1, replication_factor=1)
    pools = [{"name": "money", "pool_size": 1, "base_txn_id": base_txn_id, "checkout_timeout_ms": 60_000}]
    with Client.start(proxy.address, txn_pools=pools) as client:
        client.produce_batch_txn([Record(topic, b"first")])
        with client.transaction() as txn:
            proxy.holds = True
            client.produce_async(Record(topic, b"late"))
            wait_until(lambda: proxy.held, PATIENCE)
            txn.abort()
        assert proxy.let_through()
        assert held_up(cluster.bootstrap_servers, [topic], PATIENCE) == []
        client.produce_batch_txn([Record(topic, b"next")])
        assert not client.status().txn_pools[0].fenced
    assert read_isolated(cluster.bootstrap_servers, topic, committed=False) == [b"first", b"next"]
