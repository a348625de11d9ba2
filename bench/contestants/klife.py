"""klife: greenlets, gevent not patched. Compiled where its core was built; `KLIFE_PURE=1` in the environment
has it pure.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import gevent

import klife
from bench.contestants.greenlets import tick
from bench.meter import Meter, Sample
from bench.pacing import Pacer
from bench.workload import BUFFER_BYTES, Job, Style
from klife import BatchDelivery, Client, Delivery, Record

COMPILED = bool(getattr(klife, "compiled", False))
DISTRIBUTIONS = ("klife", "gevent")
DRIVEN = (
    "N greenlets share one Client. Sync: produce() three times, get() the deliveries. Callbacks: produce_async() with a callback for "
    "each record; it waits by itself while the buffer is full. Deliveries: produce(), and get() for each once 100 000 "
    "more are on their way. Batches: produce_batch() of 1000, and get() once 100 more are on their way. Known topics: the option "
    "topics. Transactions: produce() three times in a `with client.transaction()`, of a pool with its defaults."
)
SETTINGS: dict[str, object] = {
    "acks": "all",
    "enable_idempotence": True,
    "max_in_flight_requests": 1,
    "linger_ms": 0,
    "batch_size_bytes": 512_000,
    "max_buffered_bytes": BUFFER_BYTES,
}


def also() -> dict[str, str]:
    from bench.machine import commit  # not in a process that measures

    return {"klife's commit": commit(), "gzip": _version("zlib-ng") or "zlib"}


def _version(distribution: str) -> str:
    try:
        return f"{distribution} {version(distribution)}"
    except PackageNotFoundError:
        return ""


def run(job: Job, **more: object) -> Sample:
    """`more` are further options of the client."""
    meter = Meter(job)
    options = {
        **SETTINGS,
        **job.security,
        **more,
        "max_in_flight_requests": job.workload.in_flight,
        "compression_type": job.workload.compression,
        "compression_level": job.workload.level,
        "topics": [{"name": name} for name in job.idle_topics],
        "txn_pools": [{"name": "bench"}] if job.workload.style == "transaction" else [],
    }
    with Client.start(job.bootstrap_servers, **options) as client:
        for name in job.idle_topics:
            client.partitions(name)
        workers = [gevent.spawn(WORKERS[job.workload.style], client, meter, job, number) for number in range(job.workload.workers)]
        if job.workload.ticking:
            workers.append(gevent.spawn(tick, meter))
        meter.take(gevent.sleep)
        gevent.joinall(workers, raise_error=True)
        client.flush(60)
    return meter.sample()


def _sync(client: Client, meter: Meter, job: Job, number: int) -> None:
    for iteration in job.iterations(number):
        if not meter.running:
            return
        started = time.perf_counter()
        deliveries = [client.produce(Record(topic, value, key, partition=partition)) for topic, partition, key, value in iteration]
        for delivery in deliveries:
            delivery.get()
        meter.latencies.append(time.perf_counter() - started)


def _callback(client: Client, meter: Meter, job: Job, number: int) -> None:
    def on_delivery(record: Record) -> None:
        if record.error is not None:
            meter.fail(record.error)
        meter.acked += 1

    for chunk in job.chunks(number):
        if not meter.running:
            return
        for topic, partition, key, value in chunk:
            client.produce_async(Record(topic, value, key, partition=partition), on_delivery)
        meter.sent += len(chunk)


def _delivery(client: Client, meter: Meter, job: Job, number: int) -> None:
    def settle(deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            delivery.get()
        meter.acked += len(deliveries)

    window: deque[list[Delivery]] = deque()
    for chunk in job.chunks(number):
        window.append([client.produce(Record(topic, value, key, partition=partition)) for topic, partition, key, value in chunk])
        if len(window) > job.workload.window:
            settle(window.popleft())
        if not meter.running:
            break
    for deliveries in window:
        settle(deliveries)


def _batch(client: Client, meter: Meter, job: Job, number: int) -> None:
    def settle(delivery: BatchDelivery) -> None:
        results = delivery.get()
        for result in results:
            if result.error is not None:
                meter.fail(result.error)
        meter.acked += len(results)

    window: deque[BatchDelivery] = deque()
    for batch in job.batches(number):
        records = [Record(topic, value, key, partition=partition) for topic, partition, key, value in batch]
        window.append(client.produce_batch(records))
        if len(window) > job.workload.window:
            settle(window.popleft())
        if not meter.running:
            break
    for delivery in window:
        settle(delivery)


def _rate(client: Client, meter: Meter, job: Job, number: int) -> None:
    def on_delivery(started: float, record: Record) -> None:
        if record.error is not None:
            meter.fail(record.error)
        meter.latencies.append(time.perf_counter() - started)

    pacer = Pacer(job.workload.rate)
    for burst in job.chunks(number, size=pacer.burst):
        while (pause := pacer.pause()) > 0:
            gevent.sleep(pause)
        if not meter.running:
            return
        then = partial(on_delivery, pacer.begin())
        for topic, partition, key, value in burst:
            client.produce_async(Record(topic, value, key, partition=partition), then)
        meter.sent += len(burst)


def _transaction(client: Client, meter: Meter, job: Job, number: int) -> None:
    for iteration in job.iterations(number):
        if not meter.running:
            return
        started = time.perf_counter()
        with client.transaction():
            for topic, partition, key, value in iteration:
                client.produce(Record(topic, value, key, partition=partition))
        meter.latencies.append(time.perf_counter() - started)


WORKERS: dict[Style, Callable[[Client, Meter, Job, int], None]] = {
    "sync": _sync,
    "callback": _callback,
    "delivery": _delivery,
    "batch": _batch,
    "rate": _rate,
    "transaction": _transaction,
}
