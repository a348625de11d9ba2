"""kafka-python: pure Python under threads."""

from __future__ import annotations

import time

from kafka import KafkaProducer

from bench.contestants.threads import run_workers
from bench.meter import Meter, Sample
from bench.workload import Job

DISTRIBUTIONS = ("kafka-python",)
DRIVEN = (
    "N threads share one KafkaProducer. Sync: send() three times, get() the futures. Async: send() with a callback on each future; "
    "it bounds nothing itself, so its workers pause while 32 MiB are unacknowledged. On the mock it is told api_version 2.3."
)
SETTINGS: dict[str, object] = {
    "acks": "all",
    "enable_idempotence": True,
    "max_in_flight_requests_per_connection": 1,
    "linger_ms": 0,
    "batch_size": 512_000,
}


# The mock answers a newer ApiVersions request in a form that kafka-python cannot read.
_MOCK_SETTINGS = {"api_version": (2, 3)}


def run(job: Job) -> Sample:
    settings = {**SETTINGS, **(_MOCK_SETTINGS if job.target == "mock" else {})}
    producer = KafkaProducer(bootstrap_servers=job.bootstrap_servers.split(","), **settings)
    meter = Meter(job)
    if job.workload.mode == "sync":
        run_workers(meter, lambda number: _sync_worker(producer, meter, job, number), job.workload.workers)
    else:
        _run_async(producer, meter, job)
    return meter.sample()


def _sync_worker(producer: KafkaProducer, meter: Meter, job: Job, number: int) -> None:
    for iteration in job.iterations(number):
        if not meter.running:
            return
        started = time.perf_counter()
        futures = [producer.send(topic, value, key, partition=partition) for topic, partition, key, value in iteration]
        for future in futures:
            future.get(60)
        meter.latencies.append(time.perf_counter() - started)


def _run_async(producer: KafkaProducer, meter: Meter, job: Job) -> None:
    sent = 0

    def on_delivery(_metadata: object) -> None:
        meter.acked += 1

    def worker(number: int) -> None:
        nonlocal sent
        for topic, partition, key, value in job.payloads(number):
            while meter.running and sent - meter.acked >= job.buffered_records:
                time.sleep(0.001)
            if not meter.running:
                return
            sent += 1
            future = producer.send(topic, value, key, partition=partition)
            future.add_callback(on_delivery)
            future.add_errback(meter.fail)

    run_workers(meter, worker, job.workload.workers)
    producer.flush(60)
