"""kafka-python: pure Python under threads."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial

from kafka import KafkaProducer
from kafka.producer.future import FutureRecordMetadata

from bench.contestants.threads import run_workers
from bench.meter import Meter, Sample
from bench.pacing import Pacer
from bench.workload import Job, Style

DISTRIBUTIONS = ("kafka-python",)
DRIVEN = (
    "N threads share one KafkaProducer. Sync: send() three times, get() the futures. Callbacks: send() with a callback on each future; "
    "it bounds nothing itself, so its workers pause while 32 MiB are unacknowledged. Deliveries: send(), and get() the future "
    "once 100 000 more are on their way. On the mock it is told api_version 2.3."
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
_TIMEOUT_S = 60


def run(job: Job) -> Sample:
    settings = {**SETTINGS, **(_MOCK_SETTINGS if job.target == "mock" else {})}
    settings["max_in_flight_requests_per_connection"] = job.workload.in_flight
    producer = KafkaProducer(bootstrap_servers=job.bootstrap_servers.split(","), **settings)
    meter = Meter(job)
    run_workers(meter, partial(_WORKERS[job.workload.style], producer, meter, job), job.workload.workers)
    producer.flush(_TIMEOUT_S)
    return meter.sample()


def _sync(producer: KafkaProducer, meter: Meter, job: Job, number: int) -> None:
    for iteration in job.iterations(number):
        if not meter.running:
            return
        started = time.perf_counter()
        futures = [producer.send(topic, value, key, partition=partition) for topic, partition, key, value in iteration]
        for future in futures:
            future.get(_TIMEOUT_S)
        meter.latencies.append(time.perf_counter() - started)


def _callback(producer: KafkaProducer, meter: Meter, job: Job, number: int) -> None:
    sent = acked = 0
    # Each worker has its share of the buffer.
    most = job.buffered_records // job.workload.workers

    def on_delivery(_metadata: object) -> None:
        nonlocal acked
        acked += 1
        meter.acked += 1

    for chunk in job.chunks(number):
        for topic, partition, key, value in chunk:
            while meter.running and sent - acked >= most:
                time.sleep(0.001)
            if not meter.running:
                return
            sent += 1
            future = producer.send(topic, value, key, partition=partition)
            future.add_callback(on_delivery)
            future.add_errback(meter.fail)
        meter.sent += len(chunk)


def _delivery(producer: KafkaProducer, meter: Meter, job: Job, number: int) -> None:
    def settle(futures: list[FutureRecordMetadata]) -> None:
        for future in futures:
            future.get(_TIMEOUT_S)
        meter.acked += len(futures)

    window: deque[list[FutureRecordMetadata]] = deque()
    for chunk in job.chunks(number):
        window.append([producer.send(topic, value, key, partition=partition) for topic, partition, key, value in chunk])
        if len(window) > job.workload.window:
            settle(window.popleft())
        if not meter.running:
            break
    for futures in window:
        settle(futures)


def _rate(producer: KafkaProducer, meter: Meter, job: Job, number: int) -> None:
    def on_delivery(started: float, _metadata: object) -> None:
        meter.latencies.append(time.perf_counter() - started)

    pacer = Pacer(job.workload.rate)
    for burst in job.chunks(number, size=pacer.burst):
        while (pause := pacer.pause()) > 0:
            time.sleep(pause)
        if not meter.running:
            return
        then = partial(on_delivery, pacer.begin())
        for topic, partition, key, value in burst:
            future = producer.send(topic, value, key, partition=partition)
            future.add_callback(then)
            future.add_errback(meter.fail)
        meter.sent += len(burst)


_WORKERS: dict[Style, Callable[[KafkaProducer, Meter, Job, int], None]] = {
    "sync": _sync,
    "callback": _callback,
    "delivery": _delivery,
    "rate": _rate,
}
