"""`python -m bench.freezes`: for how long klife holds the hub when very much happens at once, for the table in
docs/performance.md.

What counts is the processor time of one turn of the loop, from one poll of the sockets to the next: that is
what everybody else waits for, however busy the machine is. The collector's share is taken off, and told apart.
The waking of a greenlet that sleeps for 2 ms, and of a process beside it that does the same (`bench.ticking`),
says what was felt.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gevent
import gevent.event
from gevent import get_hub

import klife
from bench.ticking import Control
from klife import Client, KlifeError, Record, WaitTimeout
from klife.testing.cluster import KafkaCluster
from klife_supervision.let_hub_run import let_hub_run

MANY = 10_000
CALLBACKS = 100_000
FEW, THOUSAND = "freezes-30", "freezes-1000"
PARTITIONS = {FEW: 30, THOUSAND: 1000}
_EXPIRES_MS = 4_000


class Watch:
    """The longest turn of the loop, in seconds of this thread's processor time, and the longest sleep."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.longest = self.collector = self.gap = self.end = 0.0
        self.begin = time.perf_counter()
        self._collected = 0.0
        self._check = get_hub().loop.check()

    def begin_turns(self) -> None:
        self._last = time.thread_time()
        self._check.start(self._turn_over)
        gc.callbacks.append(self._collects)
        self._neighbour = gevent.spawn(self._tick)

    def end_turns(self) -> None:
        self._check.stop()
        gc.callbacks.remove(self._collects)
        self._neighbour.kill()
        self.end = time.perf_counter()

    def _turn_over(self) -> None:
        self.longest = max(self.longest, time.thread_time() - self._last - self._collected)
        self.collector, self._collected = max(self.collector, self._collected), 0.0
        self._last = time.thread_time()

    def _collects(self, phase: str, _info: dict[str, int]) -> None:
        self._collected += time.thread_time() if phase == "stop" else -time.thread_time()

    def _tick(self) -> None:
        while True:
            before = time.monotonic()
            gevent.sleep(0.002)
            self.gap = max(self.gap, time.monotonic() - before - 0.002)


class Freezes:
    """The events, each with a client of its own, on a broker that can be paused."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self.cluster = cluster
        [self.broker] = cluster.broker_ids
        self.seen: list[Watch] = []

    @contextmanager
    def client(self, topic: str = FEW, **options: Any) -> Iterator[Client]:
        with Client.start(self.cluster.bootstrap_servers, name="freezes", **options) as client:
            client.wait_ready()
            client.produce_batch([Record(topic, b"v", partition=number) for number in range(PARTITIONS[topic])]).get()
            yield client

    @contextmanager
    def paused(self) -> Iterator[Callable[[], None]]:
        """Within the block the broker stands still, until what this gives is called."""
        self.cluster.pause(self.broker)
        left = [self.broker]

        def resume() -> None:
            if left:
                self.cluster.resume(left.pop())

        try:
            yield resume
        finally:
            resume()

    @contextmanager
    def watching(self, name: str) -> Iterator[None]:
        gc.collect()
        watch = Watch(name)
        watch.begin_turns()
        try:
            yield
            gevent.sleep(0.02)
        finally:
            watch.end_turns()
            self.seen.append(watch)

    def waiting_for_outcomes(self) -> None:
        def send(number: int) -> None:
            client.produce(Record(FEW, b"value", partition=number % 30)).get()

        with self.client() as client, self.paused() as resume:
            with self.watching("10 000 greenlets send, and wait while the broker stands still"):
                greenlets = many(send)
            with self.watching("it goes on, and all are delivered"):
                resume()
                join(greenlets)

    def expiring(self) -> None:
        def send(number: int) -> None:
            ended(client.produce(Record(THOUSAND, b"value", partition=number % 1000)).get)

        late = [{"name": "late", "delivery_timeout_ms": _EXPIRES_MS, "request_timeout_ms": _EXPIRES_MS - 1000}]
        with self.client(THOUSAND, producers=late, default_producer="late") as client, self.paused():
            greenlets = many(send)
            with self.watching("all records of 1000 partitions expire, for which 10 000 wait"):
                join(greenlets)

    def waiting_in_vain(self) -> None:
        def send(number: int) -> None:
            delivery = client.produce(Record(FEW, b"value", partition=number % 30))
            ended(lambda: delivery.get(due - time.monotonic()))

        with self.client() as client, self.paused():
            due = time.monotonic() + 4.0
            greenlets = many(send)
            with self.watching("10 000 get(timeout) end at once"):
                join(greenlets)

    def waiting_for_room(self) -> None:
        def send(number: int) -> None:
            ended(lambda: client.produce(Record(FEW, b"v" * 180, partition=number % 30)))

        for name, patience in (("10 000 callers get no room", _EXPIRES_MS), ("10 000 callers get room", 60_000)):
            with self.client(max_buffered_bytes=2_000_000, max_block_ms=patience) as client, self.paused() as resume:
                for number in range(95):
                    client.produce(Record(FEW, b"v" * 19_000, partition=number % 30))
                greenlets = many(send)
                with self.watching(name):
                    if patience > _EXPIRES_MS:
                        resume()
                    join(greenlets)

    def stopping(self) -> None:
        with self.client(THOUSAND, max_buffered_bytes=200_000_000) as client, self.paused():
            deliveries = [client.produce(Record(THOUSAND, b"v" * 20, partition=number % 1000)) for number in range(CALLBACKS)]
            greenlets = many(lambda number: deliveries[number].exception())
            with self.watching("stop, with 100 000 records of 1000 partitions left"):
                client.stop(0.2)
                join(greenlets)

    def flushing(self) -> None:
        with self.client(THOUSAND) as client, self.paused() as resume:
            for number in range(MANY):
                client.produce(Record(THOUSAND, b"v" * 20, partition=number % 1000))
            with self.watching("10 000 flushes, of 1000 batches"):
                greenlets = many(lambda _number: client.flush())
            with self.watching("these flushes end"):
                resume()
                join(greenlets)

    def calling_back(self) -> None:
        called = 0

        def count(_record: Record) -> None:
            nonlocal called
            called += 1

        def fail(record: Record) -> None:
            count(record)
            raise LookupError

        for name, callback in (("100 000 callbacks", count), ("100 000 callbacks that raise", fail)):
            called = 0
            with self.client() as client, self.paused() as resume:
                for number in range(CALLBACKS):
                    client.produce_async(Record(FEW, b"v" * 20, partition=number % 30), callback)
                with self.watching(name):
                    resume()
                    while called < CALLBACKS:
                        gevent.sleep(0.02)

    def waiting_for_a_pool(self) -> None:
        def hold(_number: int) -> None:
            with client.transaction():
                over.wait()

        def wait(_number: int) -> None:
            ended(lambda: client.transaction(int))

        pools = [{"name": "pool", "pool_size": 2, "checkout_timeout_ms": _EXPIRES_MS}]
        with self.client(txn_pools=pools, default_txn_pool="pool") as client:
            over = gevent.event.Event()
            client.transaction(int)  # the first waits for a coordinator
            holders = many(hold, 2)
            gevent.sleep(0.5)
            greenlets = many(wait, 1000)
            with self.watching("1000 get PoolExhausted"):
                join(greenlets)
            greenlets = many(wait, 1000)
            with self.watching("1000 that wait for a pool have their transaction"):
                over.set()
                join([*holders, *greenlets])


def many(function: Callable[[int], object], count: int = MANY) -> list[Any]:
    """So many greenlets; started as requests come in, and not in one turn of the loop."""
    greenlets = []
    for number in range(count):
        greenlets.append(gevent.spawn(function, number))
        if number % 50 == 0:
            let_hub_run()
    return greenlets


def join(greenlets: list[Any]) -> None:
    """As `joinall`, which looks at all of them in one turn."""
    for number, each in enumerate(greenlets):
        each.join()
        if number % 200 == 0:
            let_hub_run()


def ended(function: Callable[[], object]) -> None:
    with suppress(KlifeError, WaitTimeout):
        function()


def measure(cluster: KafkaCluster) -> None:
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        logging.basicConfig(stream=nowhere)
        freezes, control = Freezes(cluster), Control()
        with control:
            for event in (
                freezes.waiting_for_outcomes,
                freezes.expiring,
                freezes.waiting_in_vain,
                freezes.waiting_for_room,
                freezes.stopping,
                freezes.flushing,
                freezes.calling_back,
                freezes.waiting_for_a_pool,
            ):
                event()
    for watch in freezes.seen:
        longest, collector, gap, beside = (
            f"{1000 * seconds:.1f}" for seconds in (watch.longest, watch.collector, watch.gap, control.longest(watch.begin, watch.end))
        )
        print(f"| {watch.name} | {longest} | {collector} | {gap} | {beside} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.freezes", description=__doc__)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args().here:
        with KafkaCluster(brokers=1) as cluster:
            for topic, partitions in PARTITIONS.items():
                cluster.create_topic(topic, partitions, 1)
            build = "compiled" if klife.compiled else "pure"
            print(f"| {build}, ms | longest turn | collector | gap | beside it |\n|---|---:|---:|---:|---:|")
            measure(cluster)
        return
    for pure in "01":
        subprocess.run([sys.executable, "-m", "bench.freezes", "--here"], env={**os.environ, "KLIFE_PURE": pure}, check=True)


if __name__ == "__main__":
    main()
