"""`produce` entered again while it runs: by a signal handler, or a destructor that the garbage collector
calls, which produce, too.

In Python such code runs after a call, at a function's start, where a loop goes back, and where a container is
made. Here it runs at each of these places in turn; in the compiled core, whose only such places are where the
collector may begin, at each of those.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

import klife
from klife import Client, Delivery, Murmur2Partitioner, Record
from klife.actors.producer.batch import Batch
from klife.actors.producer.delivery import Places
from tests.support.interruptions import Interrupted, at_place
from tests.support.producer_parts import Parts
from tests.support.scripted_broker import PATIENCE, ScriptedCluster

FOREVER = 1e12
SMALL, LARGE = b"small", bytes(900)
LIMIT = 1_000


class Scene:
    """A topic of two partitions, its log, and what was produced to it."""

    def __init__(self) -> None:
        self.parts = Parts([1, 1], batch_size_bytes=LIMIT)
        self.topic = self.parts.topic
        self.numbers = count()
        self.log: dict[int, list[bytes]] = {0: [], 1: []}
        self.produced: list[tuple[bytes, Callable[[], Record]]] = []

    def record(self, value: bytes) -> Record:
        return Record("t", b"%d " % next(self.numbers) + value, partition=0)

    def produce(self, value: bytes = SMALL) -> None:
        record = self.record(value)
        delivery = self.topic.append(record)
        assert delivery is not None
        self.produced.append((record.value or b"", delivery.get))

    def produce_batch(self, value: bytes = SMALL) -> None:
        record, places = self.record(value), Places(1, 0)
        self.topic.append(record, None, None, True, places, 0)
        self.produced.append((record.value or b"", lambda: places.results(0, 1)[0]))

    def send(self) -> None:
        """All that waits leaves and is written, as when whoever came in between has waited for it."""
        for batcher in list(self.parts.producer.batchers.all.values()):
            while batches := self.parts.taken(batcher, FOREVER):
                for batch in batches:
                    self.write(batch)

    def write(self, batch: Batch) -> None:
        assert batch.count
        log = self.log[batch.partition_id]
        base = len(log)
        log += batch.fields[1::4]
        self.parts.delivered(batch, base)
        self.parts.producer.batchers.offer(self.parts.of(batch))

    def check(self) -> None:
        """Every record is in the log once, where its delivery says; and nothing is left over."""
        self.send()
        producer = self.parts.producer
        assert not producer.deadlines.pending
        assert producer.pool.used == 0
        for value, get in self.produced:
            result = get()
            assert self.log[result.partition or 0][result.offset or 0] == value == result.value
        values = [value for log in self.log.values() for value in log]
        assert len(set(values)) == len(values)


def batch_is_open(scene: Scene) -> None:
    scene.produce()


def batch_is_full(scene: Scene) -> None:
    scene.produce(LARGE)


def partition_is_new(_scene: Scene) -> None:
    pass


def partition_is_quiet(scene: Scene) -> None:
    scene.produce()
    scene.send()


def a_small_one(scene: Scene) -> None:
    scene.produce()


def a_large_one(scene: Scene) -> None:
    scene.produce(LARGE)


def one_that_is_waited_for(scene: Scene) -> None:
    scene.produce()
    scene.send()


def one_of_a_batch(scene: Scene) -> None:
    scene.produce_batch()


BEFORE = [batch_is_open, batch_is_full, partition_is_new, partition_is_quiet]
INTRUDERS = [a_small_one, a_large_one, one_that_is_waited_for, one_of_a_batch]
HOW = [Scene.produce, Scene.produce_batch]
named = {"ids": lambda each: each.__name__}


@pytest.mark.parametrize("how", HOW, **named)
@pytest.mark.parametrize("before", BEFORE, **named)
@pytest.mark.parametrize("intruder", INTRUDERS, **named)
def test_each_delivery_names_the_place_of_its_own_record(
    before: Callable[[Scene], None], intruder: Callable[[Scene], None], how: Callable[[Scene], None]
) -> None:
    for number in count():
        scene = Scene()
        before(scene)
        with at_place(number, lambda scene=scene: intruder(scene)) as ran:  # type: ignore[misc]
            how(scene)
        scene.check()
        if not ran[0]:
            break
    assert number > 1, "there are places"


if not klife.compiled:  # where signal handlers are called in the middle, and may raise; what the collector calls raises to nobody

    @pytest.mark.parametrize("how", HOW, **named)
    @pytest.mark.parametrize("before", BEFORE, **named)
    def test_what_is_raised_there_leaves_nothing_half_done(before: Callable[[Scene], None], how: Callable[[Scene], None]) -> None:
        def interrupt() -> None:
            raise Interrupted

        for number in count():
            scene = Scene()
            before(scene)
            with at_place(number, interrupt) as ran, suppress(Interrupted):
                how(scene)
            scene.produce()
            scene.check()
            if not ran[0]:
                break

    def test_nor_while_it_waits_for_room() -> None:
        def interrupt() -> None:
            raise Interrupted

        for number in count():
            scene = Scene()
            pool = scene.parts.producer.pool
            pool.block = True
            pool.take(pool.limit, 0.0, 0.0)
            pool.allow_overdraft(LIMIT)
            with at_place(number, interrupt) as ran, suppress(Interrupted):
                scene.produce()
            pool.allow_overdraft(0)
            pool.give(pool.limit)
            scene.check()
            if not ran[0]:
                break


def test_keyless_records_that_stick_do_so_too() -> None:
    for number in count():
        scene = Scene()
        scene.parts.producer.routing.topics.clear()
        scene.topic = scene.parts.topic = scene.parts.producer.routing.add_topic(scene.parts.topic.info, Murmur2Partitioner())
        scene.record = lambda value, scene=scene: Record("t", b"%d " % next(scene.numbers) + value)  # type: ignore[method-assign]
        with at_place(number, scene.produce) as ran:
            for _ in range(3):
                scene.produce(bytes(400))
        scene.check()
        if not ran[0]:
            break


def test_a_signal_handler_that_produces_all_the_time(start_client: Callable[..., Client]) -> None:
    with ScriptedCluster(topics={"orders": 1}) as cluster:
        client = start_client(cluster)
        client.produce(Record("orders", b"warm")).get(PATIENCE)
        deliveries: list[tuple[bytes, Delivery]] = []

        def handle(*_signal: Any) -> None:
            value = b"handler %d" % len(deliveries)
            deliveries.append((value, client.produce(Record("orders", value))))

        before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
        try:
            for number in range(3_000):
                value = b"main %d" % number
                delivery = client.produce(Record("orders", value))
                deliveries.append((value, delivery))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)
        client.flush(PATIENCE)
        log = cluster.log("orders")
        assert len(log) == len(deliveries) + 1
        for value, delivery in deliveries:
            assert log[delivery.get(PATIENCE).offset or 0] == value
        assert client.status().buffered_bytes == 0
