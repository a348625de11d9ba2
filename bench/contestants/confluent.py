"""confluent-kafka: librdkafka under Python threads.

How it is driven was chosen by trying. Sync: a single worker polls for its own acknowledgements (with a
polling thread beside it, it is a fifth slower); several workers share one polling thread that wakes each
(polling by every worker is slower from two on). Without waiting: `poll(0)` after every thousandth record;
after every record, as its examples show, costs 15 % more CPU.

Its only report of a record's outcome is the callback, of `produce_batch` too: that returns how many records
it took, marks in their dicts those the queue had no room for, and calls back for each of the others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from threading import Lock, Thread
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer, libversion

from bench.contestants.threads import run_workers
from bench.meter import Meter, Sample
from bench.pacing import Pacer
from bench.workload import BUFFER_BYTES, Job, Payload

OnDelivery = Callable[[KafkaError | None, Message], None]

DISTRIBUTIONS = ("confluent-kafka",)
DRIVEN = (
    "N threads share one Producer. Sync: one worker polls for itself, several share a polling thread. Callbacks and deliveries: a "
    "delivery callback for each record (it has no futures), poll(0) every 1000 records, poll(0.05) when the queue is full. Batches: "
    "produce_batch() of 1000 with a delivery callback, then poll(0). A given rate: a polling thread. Known topics: list_topics(). "
    "Transactions: a Producer for each thread; commit_transaction() again as long as it fails with what is retriable."
)
SETTINGS: Mapping[str, str | int | bool] = {
    "acks": "all",
    "enable.idempotence": True,
    "max.in.flight.requests.per.connection": 1,
    "linger.ms": 0,
    "batch.size": 512_000,
    "queue.buffering.max.kbytes": BUFFER_BYTES // 1024,
}
UNPLACED = -1
# With its key and overhead a larger value may be more than librdkafka takes by default, which is 1 000 000.
_MESSAGE_BYTES = 900_000


def also() -> dict[str, str]:
    return {"librdkafka": libversion()[0]}


def start(job: Job, settings: Mapping[str, str | int | bool] = SETTINGS, **more: str) -> Producer:
    """A producer for the job, which knows the cluster's topics where it shall. What is in `settings` and what
    the workload asks for beside is set, and all else left to librdkafka.
    """
    options: dict[str, Any] = {**settings, **_security(job), **more, "compression.type": job.workload.compression}
    if "max.in.flight.requests.per.connection" in settings:
        options["max.in.flight.requests.per.connection"] = job.workload.in_flight
    if job.workload.value_bytes > _MESSAGE_BYTES:
        options["message.max.bytes"] = 2 * job.workload.value_bytes
    # log_level 2: a broker that still loads its coordinator answers "retry", which librdkafka reports on
    # stderr.
    producer = Producer({"bootstrap.servers": job.bootstrap_servers, "log_level": 2, **options})
    if job.idle_topics:
        producer.list_topics(timeout=30)
    return producer


def _security(job: Job) -> dict[str, str]:
    """What librdkafka calls the options of `job.security`."""
    options: dict[str, str] = {"security.protocol": job.workload.listener}
    if tls := job.security.get("tls"):
        options["ssl.ca.location"] = tls["ca_file"]
    if sasl := job.security.get("sasl"):
        options |= {"sasl.mechanism": sasl["mechanism"], "sasl.username": sasl["username"], "sasl.password": sasl["password"]}
    return options


def run(job: Job, settings: Mapping[str, str | int | bool] = SETTINGS) -> Sample:
    meter = Meter(job)
    style, workers = job.workload.style, job.workload.workers
    if style == "transaction":
        run_workers(meter, partial(_transaction_worker, meter, job), workers)
        return meter.sample()
    producer = start(job, settings)
    if style == "sync" and workers == 1:
        run_workers(meter, partial(_polling_worker, producer, meter, job), 1)
    elif style == "sync":
        with _polling_thread(producer):
            run_workers(meter, partial(_waiting_worker, producer, meter, job), workers)
    elif style == "rate":
        with _polling_thread(producer):
            run_workers(meter, partial(_rate_worker, producer, meter, job), workers)
    else:
        run_workers(meter, partial(_batch_worker if style == "batch" else _callback_worker, producer, meter, job), workers)
    producer.flush()
    return meter.sample()


@contextmanager
def _polling_thread(producer: Producer) -> Iterator[None]:
    polling = True

    def poll() -> None:
        while polling:
            producer.poll(0.1)

    poller = Thread(target=poll, daemon=True)
    poller.start()
    try:
        yield
    finally:
        polling = False
        poller.join()


def _polling_worker(producer: Producer, meter: Meter, job: Job, number: int) -> None:
    missing = 0

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        nonlocal missing
        missing -= 1
        if error is not None:
            meter.fail(error)

    for iteration in job.iterations(number, UNPLACED):
        if not meter.running:
            return
        started = time.perf_counter()
        missing = len(iteration)
        for topic, partition, key, value in iteration:
            producer.produce(topic, value, key, partition, on_delivery)
        while missing:
            producer.poll(0.01)
        meter.latencies.append(time.perf_counter() - started)


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

    for iteration in job.iterations(number, UNPLACED):
        if not meter.running:
            return
        started = time.perf_counter()
        missing = len(iteration)
        for topic, partition, key, value in iteration:
            producer.produce(topic, value, key, partition, on_delivery)
        settled.acquire()
        meter.latencies.append(time.perf_counter() - started)


def _callback_worker(producer: Producer, meter: Meter, job: Job, number: int) -> None:
    on_delivery = counting(meter)
    for chunk in job.chunks(number, UNPLACED):
        if not meter.running:
            return
        for payload in chunk:
            topic, partition, key, value = payload
            try:
                producer.produce(topic, value, key, partition, on_delivery)
            except BufferError:
                _produce_when_there_is_room(producer, payload, on_delivery)
        meter.sent += len(chunk)
        producer.poll(0)


def _batch_worker(producer: Producer, meter: Meter, job: Job, number: int) -> None:
    on_delivery = counting(meter)
    placed = job.workload.placed
    for batch in job.batches(number):
        if not meter.running:
            return
        messages: list[dict[str, Any]] = (
            [{"value": value, "key": key, "partition": partition} for _topic, partition, key, value in batch]
            if placed
            else [{"value": value, "key": key} for _topic, _partition, key, value in batch]
        )
        while producer.produce_batch(batch[0][0], messages, on_delivery=on_delivery) < len(messages):
            messages = [message for message in messages if message.pop("_error", None) is not None]
            producer.poll(0.05)
        meter.sent += len(batch)
        producer.poll(0)


def _rate_worker(producer: Producer, meter: Meter, job: Job, number: int) -> None:
    pacer = Pacer(job.workload.rate)
    for burst in job.chunks(number, UNPLACED, pacer.burst):
        while (pause := pacer.pause()) > 0:
            time.sleep(pause)
        if not meter.running:
            return
        then = timing(meter, pacer.begin())
        for topic, partition, key, value in burst:
            producer.produce(topic, value, key, partition, then)
        meter.sent += len(burst)


def _transaction_worker(meter: Meter, job: Job, number: int) -> None:
    producer = start(job, **{"transactional.id": f"bench-{os.getpid()}-{number}"})
    producer.init_transactions()
    for iteration in job.iterations(number, UNPLACED):
        if not meter.running:
            return
        started = time.perf_counter()
        producer.begin_transaction()
        for topic, partition, key, value in iteration:
            producer.produce(topic, value, key, partition)
        _commit(producer)
        meter.latencies.append(time.perf_counter() - started)


def _commit(producer: Producer) -> None:
    while True:
        try:
            return producer.commit_transaction()
        except KafkaException as error:
            if not error.args[0].retriable():
                raise


def counting(meter: Meter) -> OnDelivery:
    """A callback that counts what was delivered."""

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            meter.fail(error)
        meter.acked += 1

    return on_delivery


def timing(meter: Meter, started: float) -> OnDelivery:
    """A callback that takes the time since `started`."""

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            meter.fail(error)
        meter.latencies.append(time.perf_counter() - started)

    return on_delivery


def _produce_when_there_is_room(producer: Producer, payload: Payload, on_delivery: OnDelivery) -> None:
    topic, partition, key, value = payload
    while True:
        producer.poll(0.05)
        try:
            producer.produce(topic, value, key, partition, on_delivery)
        except BufferError:
            continue
        return
