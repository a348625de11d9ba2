"""Uses of a producer whose topics appear, grow, move, and are made anew."""

from __future__ import annotations

import gevent

from klife import Client, InvalidRecordValue, Record, UnknownTopic
from tests.support.waiting import wait_until
from tests.versions.world import WAIT_SECONDS, World, equal, in_order, in_the_log_once, new_name, raises


class Load:
    """Eight greenlets that produce to a topic until they are told to end, each record waited for."""

    def __init__(self, client: Client, topic: str) -> None:
        self._client, self._topic = client, topic
        self._going_on = True
        self.results: list[Record] = []
        self._workers = [gevent.spawn(self._work, worker) for worker in range(8)]
        self.wait_for_more()

    def wait_for_more(self) -> None:
        """Return when each worker has delivered some more records."""
        before = len(self.results)
        wait_until(lambda: len(self.results) > before + 300 or any(worker.ready() for worker in self._workers))

    def end(self) -> list[Record]:
        """The delivered records; raises what a worker ended by."""
        self._going_on = False
        gevent.joinall(self._workers, timeout=WAIT_SECONDS, raise_error=True)
        assert all(worker.ready() for worker in self._workers), "a worker waits for ever"
        return self.results

    def _work(self, worker: int) -> None:
        number = 0
        while self._going_on:
            deliveries = []
            for _ in range(10):
                deliveries.append(self._client.produce(Record(self._topic, b"%d:%d" % (worker, number), b"k%d" % worker)))
                number += 1
            self.results += [delivery.get(WAIT_SECONDS) for delivery in deliveries]
            gevent.sleep(0.002)


def not_there(world: World) -> None:
    """Topics that are not there: looking makes none, produce has the broker make one, an impossible name is
    refused
    """
    looked_at, wanted = new_name(), new_name()
    with world.client(max_block_ms=2_000) as client:
        raises(UnknownTopic, lambda: client.partitions(looked_at))
        raises(InvalidRecordValue, lambda: client.produce(Record("no/such/topic", b"v")))
    with world.client(max_block_ms=20_000) as client:
        result = client.produce(Record(wanted, b"first")).get(WAIT_SECONDS)
    in_the_log_once([result], world.read(wanted, 1))
    with world.cluster.admin() as admin:
        assert looked_at not in admin.describe_topics(), "a topic was made by looking for it"


def moved_leaders(world: World) -> None:
    """Partitions move to other brokers under load: nothing lost, doubled or out of order"""
    topic = new_name()
    world.placed_topic(topic, [1, 1, 2, 2, 3, 3])
    with world.client() as client:
        load = Load(client, topic)
        for offset in (1, 2):
            world.move(topic, {index: [(index // 2 + offset) % 3 + 1] for index in range(6)})
            load.wait_for_more()
        results = load.end()
    found = world.read(topic, len(results))
    in_the_log_once(results, found)
    in_order(found)


def added_partition(world: World) -> None:
    """A partition that was just added, by its number, by an older client"""
    topic = world.topic(1)
    with world.client() as client:
        results = [client.produce(Record(topic, b"a:0")).get(WAIT_SECONDS)]
        with world.cluster.admin() as admin:
            admin.create_partitions(topic, 3)
        results.append(client.produce(Record(topic, b"a:1", partition=2)).get(WAIT_SECONDS))
        keyless = [client.produce(Record(topic, b"b:%d" % number)) for number in range(100)]
        results += [delivery.get(WAIT_SECONDS) for delivery in keyless]
    equal((results[1].partition, results[1].offset), (2, 0), "the place of the record")
    in_the_log_once(results, world.read(topic, len(results)))


def made_anew(world: World) -> None:
    """A topic that is deleted and made anew elsewhere under an idle client takes its next records"""
    topic = new_name()
    world.placed_topic(topic, [1])
    with world.client() as client:
        for leader in (2, 3):  # each move is one more leader epoch, and the new topic begins with none
            world.move(topic, {0: [leader]})
            client.produce(Record(topic, b"old:%d" % leader)).get(WAIT_SECONDS)
        with world.cluster.admin() as admin:
            admin.delete_topics([topic])
        world.placed_topic(topic, [1])
        results = [client.produce(Record(topic, b"new:%d" % number)).get(WAIT_SECONDS) for number in range(5)]
    in_the_log_once(results, world.read(topic, len(results)))


USES = [not_there, moved_leaders, added_partition, made_anew]
