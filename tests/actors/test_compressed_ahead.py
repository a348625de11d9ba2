"""What waits behind a request in flight is compressed meanwhile, in other threads, and sent as it would have been."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import Client, Record
from klife.actors.producer import ahead, request
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.compression import compress
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, after, cut

VALUES = [b"order %d of many; " % number * 60 for number in range(500)]  # 8 batches of 64 KiB and more
LINE: dict[str, Any] = {"compression_type": "lz4", "batch_size_bytes": 70_000, "retry_backoff_ms": 10}


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads that compress, one for each batch."""
    noted: list[int] = []

    def noting(codec: int, data: bytes, level: int | None) -> bytes:
        noted.append(get_ident())
        return compress(codec, data, level)

    monkeypatch.setattr(request, "compress", noting)
    monkeypatch.setattr(ahead, "compress", noting)
    monkeypatch.setattr(ahead, "_cores", lambda: 2)
    return noted


def _elsewhere(threads: list[int]) -> int:
    return sum(thread != get_ident() for thread in threads)


def _until(fact: Callable[[], bool]) -> None:
    with gevent.Timeout(PATIENCE):
        while not fact():
            gevent.sleep(0.001)


def test_the_next_in_line_are_compressed_while_a_request_is_in_flight(threads: list[int], start_client: Callable[..., Client]) -> None:
    answer = Event()
    with ScriptedCluster() as cluster:
        client = start_client(cluster, **LINE)
        client.produce(Record("orders", b"first", partition=0)).get(PATIENCE)
        threads.clear()
        cluster[1].script(ProduceRequest, after(answer))
        deliveries = [client.produce(Record("orders", value, partition=0)) for value in VALUES]
        _until(lambda: _elsewhere(threads) == ahead.IN_LINE)
        assert cluster.log("orders") == [b"first"]
        answer.set()
        assert [delivery.get(PATIENCE).error for delivery in deliveries] == [None] * len(VALUES)
        assert cluster.log("orders") == [b"first", *VALUES]
        assert _elsewhere(threads) > ahead.IN_LINE


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_all_are_sent_again_after_the_connection_broke(threads: list[int], start_client: Callable[..., Client], codec: str) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, **LINE | {"compression_type": codec})
        client.produce(Record("orders", b"first", partition=0)).get(PATIENCE)
        cluster[1].script(ProduceRequest, cut)
        deliveries = [client.produce(Record("orders", value, partition=0)) for value in VALUES]
        assert [delivery.get(PATIENCE).error for delivery in deliveries] == [None] * len(VALUES)
        assert cluster.log("orders") == [b"first", *VALUES]


def test_an_open_batch_that_is_as_good_as_full_is_in_line(threads: list[int], start_client: Callable[..., Client]) -> None:
    answer = Event()
    with ScriptedCluster(topics={"orders": 50}) as cluster:
        client = start_client(cluster, **LINE)
        client.produce(Record("orders", b"first")).get(PATIENCE)
        threads.clear()
        cluster[1].script(ProduceRequest, after(answer))
        deliveries = [client.produce(Record("orders", value)) for value in VALUES]  # each batch in another partition, more or less
        _until(lambda: _elsewhere(threads) == ahead.IN_LINE)
        answer.set()
        assert [delivery.get(PATIENCE).error for delivery in deliveries] == [None] * len(VALUES)
        written = [value for partition in range(50) for value in cluster.log("orders", partition)]
        assert sorted(written) == sorted([b"first", *VALUES])


def test_a_batcher_that_dies_leaves_what_it_had_compressed(threads: list[int], start_client: Callable[..., Client]) -> None:
    answer = Event()
    with ScriptedCluster() as cluster:
        client = start_client(cluster, **LINE)
        client.produce(Record("orders", b"first", partition=0)).get(PATIENCE)
        threads.clear()
        cluster[1].script(ProduceRequest, after(answer))
        deliveries = [client.produce(Record("orders", value, partition=0)) for value in VALUES]
        _until(lambda: _elsewhere(threads) == ahead.IN_LINE)
        [batchers] = [node for node in _nodes(client.tree()) if node.id == "batchers"]
        for batcher in batchers.children:
            batcher.kill()
        answer.set()
        assert [delivery.get(PATIENCE).error for delivery in deliveries] == [None] * len(VALUES)
        assert cluster.log("orders") == [b"first", *VALUES]


def _nodes(node: Any) -> list[Any]:
    return [node, *(below for child in node.children for below in _nodes(child))]


def test_with_a_single_core_nothing_is_compressed_ahead(
    threads: list[int], monkeypatch: pytest.MonkeyPatch, start_client: Callable[..., Client]
) -> None:
    monkeypatch.setattr(ahead, "_cores", lambda: 1)
    with ScriptedCluster() as cluster:
        client = start_client(cluster, **LINE)
        deliveries = [client.produce(Record("orders", value, partition=0)) for value in VALUES]
        assert [delivery.get(PATIENCE).error for delivery in deliveries] == [None] * len(VALUES)
        assert set(threads) == {get_ident()}
