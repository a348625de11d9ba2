"""klife: greenlets, gevent not patched."""

from __future__ import annotations

import time

import gevent

from bench.meter import Meter, Sample
from bench.workload import BUFFER_BYTES, Job
from klife import Client, Record

DISTRIBUTIONS = ("klife", "gevent")
DRIVEN = (
    "N greenlets share one Client. Sync: produce() three times, get() the deliveries. Async: produce_async() with a callback for "
    "each record; it waits by itself while the buffer is full."
)
SETTINGS: dict[str, object] = {
    "acks": "all",
    "enable_idempotence": True,
    "max_in_flight_requests": 1,
    "linger_ms": 0,
    "batch_size_bytes": 512_000,
    "max_buffered_bytes": BUFFER_BYTES,
}


def run(job: Job) -> Sample:
    meter = Meter(job)
    worker = _sync_worker if job.workload.mode == "sync" else _async_worker
    with Client.start(job.bootstrap_servers, **SETTINGS) as client:
        workers = [gevent.spawn(worker, client, meter, job, number) for number in range(job.workload.workers)]
        meter.take(gevent.sleep)
        gevent.joinall(workers, raise_error=True)
        client.flush(60)
    return meter.sample()


def _sync_worker(client: Client, meter: Meter, job: Job, number: int) -> None:
    for iteration in job.iterations(number):
        if not meter.running:
            return
        started = time.perf_counter()
        deliveries = [
            client.produce(Record(topic=topic, value=value, key=key, partition=partition)) for topic, partition, key, value in iteration
        ]
        for delivery in deliveries:
            delivery.get()
        meter.latencies.append(time.perf_counter() - started)


def _async_worker(client: Client, meter: Meter, job: Job, number: int) -> None:
    def on_delivery(record: Record) -> None:
        if record.error is not None:
            meter.fail(record.error)
        meter.acked += 1

    for topic, partition, key, value in job.payloads(number):
        if not meter.running:
            return
        client.produce_async(Record(topic=topic, value=value, key=key, partition=partition), on_delivery)
