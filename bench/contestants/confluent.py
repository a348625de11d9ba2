"""confluent-kafka: librdkafka under Python threads.

How it is driven was chosen by trying. Sync: a single worker polls for its own acknowledgements (with a polling thread beside it, it
is a fifth slower); several workers share one polling thread that wakes each (polling by every worker is slower from two on). Async:
`poll(0)` after every thousandth record; after every record, as its examples show, costs 15 % more CPU.
"""

from __future__ import annotations

import time
from threading import Lock, Thread

from confluent_kafka import KafkaError, Message, Producer

from bench.contestants.threads import run_workers
from bench.meter import Meter, Sample
from bench.workload import BUFFER_BYTES, Job

DISTRIBUTIONS = ("confluent-kafka",)
DRIVEN = (
    "N threads share one Producer. Sync: one worker polls for itself, several share a polling thread. "
    "Async: a delivery callback for each record, poll(0) every 1000 records, poll(0.05) when the queue is full."
)
SETTINGS: dict[str, str | int | bool] = {
    "acks": "all",
    "enable.idempotence": True,
    "max.in.flight.requests.per.connection": 1,
    "linger.ms": 0,
    "batch.size": 512_000,
    "queue.buffering.max.kbytes": BUFFER_BYTES // 1024,
}
_POLL_EVERY = 1000


def run(job: Job) -> Sample:
    # log_level 2: a broker that still loads its coordinator answers "retry", which librdkafka reports on stderr.
    producer = Producer({"bootstrap.servers": job.bootstrap_servers, "log_level": 2, **SETTINGS})
    meter = Meter(job)
    if job.workload.mode == "async":
        _run_async(producer, meter, job)
    elif job.workload.workers == 1:
        run_workers(meter, lambda number: _polling_worker(producer, meter, job, number), 1)
    else:
        _run_sync(producer, meter, job)
    return meter.sample()


def _polling_worker(producer: Producer, meter: Meter, job: Job, number: int) -> None:
    missing = 0

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        nonlocal missing
        missing -= 1
        if error is not None:
            meter.fail(error)

    for iteration in job.iterations(number):
        if not meter.running:
            return
        started = time.perf_counter()
        missing = len(iteration)
        for topic, partition, key, value in iteration:
            producer.produce(topic, value, key, partition, on_delivery)
        while missing:
            producer.poll(0.01)
        meter.latencies.append(time.perf_counter() - started)


def _run_sync(producer: Producer, meter: Meter, job: Job) -> None:
    polling = True

    def poll() -> None:
        while polling:
            producer.poll(0.1)

    poller = Thread(target=poll, daemon=True)
    poller.start()
    run_workers(meter, lambda number: _waiting_worker(producer, meter, job, number), job.workload.workers)
    polling = False
    poller.join()


def _waiting_worker(producer: Producer, meter: Meter, job: Job, number: int) -> None:
    missing = 0
    settled = Lock()
    settled.acquire()

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        nonlocal missing
        missing -= 1
        if error is not None:
            meter.fail(error)
        if not missing:
            settled.release()

    for iteration in job.iterations(number):
        if not meter.running:
            return
        started = time.perf_counter()
        missing = len(iteration)
        for topic, partition, key, value in iteration:
            producer.produce(topic, value, key, partition, on_delivery)
        settled.acquire()
        meter.latencies.append(time.perf_counter() - started)


def _run_async(producer: Producer, meter: Meter, job: Job) -> None:
    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            meter.fail(error)
        meter.acked += 1

    def worker(number: int) -> None:
        until_poll = _POLL_EVERY
        for topic, partition, key, value in job.payloads(number):
            if not meter.running:
                return
            while True:
                try:
                    producer.produce(topic, value, key, partition, on_delivery)
                    break
                except BufferError:
                    producer.poll(0.05)
            until_poll -= 1
            if not until_poll:
                producer.poll(0)
                until_poll = _POLL_EVERY

    run_workers(meter, worker, job.workload.workers)
    producer.flush()
