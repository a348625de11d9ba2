"""Killing any actor at any moment loses no record, writes none twice, breaks no order and leaves nobody waiting."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import gevent
import pytest
from on_cluster import MakeTopic, ReadBack, StartClient, wait_until

from klife import Client, Record
from klife_supervision import TreeNode

WORKERS = 8
PADDING = (("padding", bytes(6_000)),)  # so that batches are compressed in another thread, where their batcher can be killed


def below(node: TreeNode) -> Iterator[TreeNode]:
    for child in node.children:
        yield child
        yield from below(child)


def kind_of(node: TreeNode) -> str:
    """`broker 1` and `broker 2` are of a kind, and so are the others."""
    return str(node.id).split()[0] + (" tree" if node.kind == "supervisor" else "")


def kill_one_of_each_kind(client: Client) -> set[str]:
    kinds = sorted({kind_of(node) for node in below(client.tree())})
    for kind in kinds:
        victims = [node for node in below(client.tree()) if kind_of(node) == kind]
        if victims:
            victims[len(kinds) % len(victims)].kill()
        gevent.sleep(0.04)  # the load goes on in between
    return set(kinds)


@pytest.mark.parametrize(("in_flight", "codec"), [(1, "none"), (5, "gzip")])
def test_killing_each_kind_of_node_under_load_loses_nothing(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack, in_flight: int, codec: str
) -> None:
    client = start_client(max_in_flight_requests=in_flight, compression_type=codec)
    topic = make_topic(6)
    client.produce_batch([Record(topic, b"", key=b"warm", partition=partition) for partition in range(6)]).get(30)
    stop_at = monotonic() + 3.0
    offsets: dict[tuple[int, int], tuple[int | None, int | None]] = {}
    called: list[Record] = []

    def work(worker: int) -> None:
        number = 0
        while monotonic() < stop_at:
            batch = [Record(topic, b"%d" % (number + at), key=b"%d" % worker, headers=PADDING, partition=worker % 6) for at in range(5)]
            client.produce_async(batch[0], called.append)
            for at, result in enumerate(client.produce_batch(batch[1:]).get(40), start=1):
                assert result.error is None, result.error
                offsets[worker, number + at] = (result.partition, result.offset)
            number += 5

    workers = [gevent.spawn(work, worker) for worker in range(WORKERS)]
    killed: set[str] = set()
    while monotonic() < stop_at:
        killed |= kill_one_of_each_kind(client)
    gevent.joinall(workers, timeout=60, raise_error=True)
    client.flush(30)
    expected = {"connections tree", "broker", "metadata", "producer", "producer tree", "batchers tree", "batcher", "gate"}
    assert expected <= killed
    assert sum(node.restarts for node in below(client.tree())) > len(expected)
    assert [result.error for result in called if result.error is not None] == []
    offsets |= {(int(result.key or b""), int(result.value or b"")): (result.partition, result.offset) for result in called}
    logged = [read for read in read_back(topic) if read.key != b"warm"]
    found = {(int(read.key or b""), int(read.value or b"")): (read.partition, read.offset) for read in logged}
    assert len(logged) == len(found), "nothing is there twice"
    assert found.keys() == offsets.keys()
    for record, (partition, offset) in offsets.items():
        # A resend that the broker knows as a duplicate is answered without an offset, if others came after it.
        assert found[record] in ((partition, offset), (partition, found[record][1] if offset is None else offset))
    print(f"{len(offsets)} records, {sum(offset is None for _, offset in offsets.values())} without an offset")
    for worker in range(WORKERS):
        in_log = sorted((place[1], record[1]) for record, place in found.items() if record[0] == worker)
        assert [number for _, number in in_log] == list(range(len(in_log)))


def test_killing_the_whole_client_settles_everything_as_not_written(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client(linger_ms=20_000)
    topic = make_topic(1)
    deliveries = [client.produce(Record(topic, b"v")) for _ in range(10)]
    client.tree().kill()
    wait_until(lambda: all(delivery.done() for delivery in deliveries), timeout=10)
    for delivery in deliveries:
        error = delivery.exception(0)
        assert error is not None
        assert "ended (killed) before the brokers had confirmed" in str(error)
        assert error.possibly_persisted is False
    assert client.stop().undelivered == 10
