"""Killing any actor at any moment loses no record, writes none twice, breaks no order and leaves nobody
waiting.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from time import monotonic

import gevent
import pytest

from klife import Client, FlushTimeout, Record, WaitTimeout
from klife_supervision import TreeNode
from tests.support.on_cluster import MakeTopic, ReadBack, StartClient
from tests.support.reader import Read
from tests.support.waiting import wait_until

PARTITIONS = 6
PATIENCE = 40.0
PADDING = (("padding", bytes(6_000)),)  # so that batches are compressed in another thread, where their batcher can be killed
KINDS = {"connections tree", "bootstrap", "broker", "metadata", "producer tree", "producer", "batchers tree", "batcher", "gate"}

Place = tuple[int | None, int | None]


def below(node: TreeNode) -> Iterator[TreeNode]:
    for child in node.children:
        yield child
        yield from below(child)


def kind_of(node: TreeNode) -> str:
    """`broker 1` and `broker 2` are of a kind, and so are the others."""
    return str(node.id).split()[0] + (" tree" if node.kind == "supervisor" else "")


def as_it_is(client: Client) -> str:
    """For whoever has to find out why a record is late."""
    return f"\n{client.tree()}\n{client.status()}"


class Load:
    """Greenlets that each write numbers to one partition, one of five by `produce_async` and the others by
    `produce_batch`.
    """

    def __init__(self, client: Client, topic: str) -> None:
        self._client = client
        self._topic = topic
        self._seconds = 0.0
        self._called: list[Record] = []
        self.told: dict[tuple[int, int], Place] = {}  # where a record of this writer and number is, by its delivery
        self.longest_wait = 0.0
        client.produce_batch([Record(topic, b"", key=b"warm", partition=each) for each in range(PARTITIONS)]).get(PATIENCE)

    def run(self, writers: int, seconds: float) -> list[gevent.Greenlet[[int, float], None]]:
        return [gevent.spawn(self._write, writer, monotonic() + seconds) for writer in range(writers)]

    def _write(self, writer: int, until: float) -> None:
        number = 0
        while monotonic() < until:
            batch = [
                Record(self._topic, b"%d" % (number + at), key=b"%d" % writer, headers=PADDING, partition=writer % PARTITIONS)
                for at in range(5)
            ]
            began = monotonic()
            self._client.produce_async(batch[0], self._called.append)
            try:
                results = self._client.produce_batch(batch[1:]).get(PATIENCE)
            except WaitTimeout:
                pytest.fail(f"no outcome of records of partition {writer % PARTITIONS} in {PATIENCE:g} s" + as_it_is(self._client))
            self.longest_wait = max(self.longest_wait, monotonic() - began)
            for at, result in enumerate(results, start=1):
                self._tell(writer, number + at, result)
            number += 5

    def _tell(self, writer: int, number: int, result: Record) -> None:
        assert result.error is None, str(result.error) + as_it_is(self._client)
        assert (writer, number) not in self.told
        self.told[writer, number] = (result.partition, result.offset)

    def finish(self, writers: list[gevent.Greenlet[[int, float], None]], timeout: float) -> None:
        """Wait until every record has its outcome, and was told of."""
        gevent.joinall(writers, timeout=timeout, raise_error=True)
        assert all(writer.dead for writer in writers), "a writer hangs" + as_it_is(self._client)
        try:
            self._client.flush(PATIENCE)
        except FlushTimeout as error:
            pytest.fail(str(error) + as_it_is(self._client))
        for result in self._called:
            self._tell(int(result.key or b""), int(result.value or b""), result)

    def check(self, logged: list[Read]) -> None:
        """What is in the log is what was delivered: once, where its delivery says, and in the order of each
        writer.
        """
        logged = [read for read in logged if read.key != b"warm"]
        found: dict[tuple[int, int], Place] = {
            (int(read.key or b""), int(read.value or b"")): (read.partition, read.offset) for read in logged
        }
        assert len(logged) == len(found), "something is there twice"
        assert found.keys() == self.told.keys()
        for record, (partition, offset) in self.told.items():
            # A resend that the broker knows as a duplicate is answered without an offset, if others came
            # after it.
            assert found[record] in ((partition, offset), (partition, found[record][1] if offset is None else offset))
        in_order: dict[int, list[int]] = {}
        for read in sorted(logged, key=lambda read: (read.partition, read.offset)):
            in_order.setdefault(int(read.key or b""), []).append(int(read.value or b""))
        for numbers in in_order.values():
            assert numbers == list(range(len(numbers)))


def check_counters(client: Client, written: int) -> None:
    """The client's own numbers agree: all was delivered, nothing failed, nothing is held."""
    status = client.status()
    (producer,) = status.producers
    assert (producer.delivered, producer.failed, producer.unsettled) == (written, 0, 0)
    assert (status.state, status.buffered_bytes, status.waiting_for_buffer) == ("running", 0, 0)
    assert producer.producer_epoch == 0, "no sequence was lost, so none had to be begun again"
    assert all(broker.in_flight == 0 for broker in status.brokers if broker.node_id is not None)


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
    topic = make_topic(PARTITIONS)
    load = Load(client, topic)
    writers = load.run(8, seconds=3.0)
    killed: set[str] = set()
    while not all(writer.dead for writer in writers):
        killed |= kill_one_of_each_kind(client)
    load.finish(writers, PATIENCE)
    assert killed >= KINDS
    assert sum(node.restarts for node in below(client.tree())) > len(KINDS)
    load.check(read_back(topic))
    check_counters(client, len(load.told) + PARTITIONS)


@pytest.mark.timeout(300)
def test_a_random_actor_killed_five_times_a_second_costs_nothing_but_restarts(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    """As little as possible is left to stand on: five requests in flight, compression in threads, two
    batchers a broker, a linger.
    """
    client = start_client(max_in_flight_requests=5, compression_type="gzip", batchers_count=2, linger_ms=2)
    topic = make_topic(PARTITIONS)
    load = Load(client, topic)
    every, rounds = 0.2, 8  # in each build; in each round a node of each kind
    kills: dict[str, int] = {}
    chance = random.Random()
    writers = load.run(12, seconds=every * rounds * len(KINDS))
    began = monotonic()
    for number in range(rounds * len(KINDS)):
        gevent.sleep(max(0.0, began + every * number - monotonic()))
        if number % len(KINDS) == 0:
            kinds = chance.sample(sorted(KINDS), len(KINDS))
        # By kind first: there are as many batchers as all others together.
        nodes = [node for node in below(client.tree()) if kind_of(node) == kinds[number % len(KINDS)]]
        if nodes:  # what was killed a moment ago may have none below it yet
            chance.choice(nodes).kill()
            kills[kind_of(nodes[0])] = kills.get(kind_of(nodes[0]), 0) + 1
    load.finish(writers, 2 * PATIENCE)
    assert kills.keys() >= KINDS
    check_counters(client, len(load.told) + PARTITIONS)
    load.check(read_back(topic))
    print(f"{len(load.told)} records, {sum(kills.values())} kills {kills}, the longest wait {load.longest_wait:.2f} s")


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
