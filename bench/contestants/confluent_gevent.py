"""confluent-kafka in a gevent program, the way services with greenlets use it: callbacks, and a greenlet that
calls `poll(0)`.

What waits in C (`poll` with a timeout, `flush`) would hold every greenlet up, so nothing here does. How long
the greenlet sleeps between two polls was tried: not at all is quicker with one worker and slower with 16, and
takes a whole core as long as the program lives, idle or not; five milliseconds are slower with any number.
One is what is measured.
"""

from __future__ import annotations

import time
from functools import partial

import gevent
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from gevent.event import AsyncResult

from bench.contestants import confluent
from bench.contestants.confluent import UNPLACED, counting, timing
from bench.contestants.greenlets import tick
from bench.meter import Meter, Sample
from bench.pacing import Pacer
from bench.workload import Job, Payload

DISTRIBUTIONS = ("confluent-kafka", "gevent")
DRIVEN = (
    "N greenlets share one Producer, and another calls poll(0) every millisecond. Sync: an AsyncResult for each record, set by its "
    "delivery callback. Callbacks and deliveries: a delivery callback for each record; every 1000 records, and a millisecond long when "
    "the queue is full, the others get their turn."
)
SETTINGS = confluent.SETTINGS
_POLL_S = 0.001
_DRAIN_S = 60


def run(job: Job) -> Sample:
    producer = confluent.start(job)
    meter = Meter(job)
    poller = gevent.spawn(_poll, producer)
    worker = {"sync": _sync, "rate": _rate}.get(job.workload.style, _callback)
    workers = [gevent.spawn(worker, producer, meter, job, number) for number in range(job.workload.workers)]
    if job.workload.ticking:
        workers.append(gevent.spawn(tick, meter))
    meter.take(gevent.sleep)
    gevent.joinall(workers, raise_error=True)
    with gevent.Timeout(_DRAIN_S):
        while len(producer):
            gevent.sleep(_POLL_S)
    poller.kill()
    return meter.sample()


def _poll(producer: Producer) -> None:
    while True:
        producer.poll(0)
        gevent.sleep(_POLL_S)


def _sync(producer: Producer, meter: Meter, job: Job, number: int) -> None:
    def on_delivery(result: AsyncResult[Message], error: KafkaError | None, message: Message) -> None:
        if error is None:
            result.set(message)
        else:
            result.set_exception(KafkaException(error))

    def send(payload: Payload) -> AsyncResult[Message]:
        topic, partition, key, value = payload
        result: AsyncResult[Message] = AsyncResult()
        producer.produce(topic, value, key, partition, partial(on_delivery, result))
        return result

    for iteration in job.iterations(number, UNPLACED):
        if not meter.running:
            return
        started = time.perf_counter()
        for result in [send(payload) for payload in iteration]:
            result.get()
        meter.latencies.append(time.perf_counter() - started)


def _callback(producer: Producer, meter: Meter, job: Job, number: int) -> None:
    on_delivery = counting(meter)

    for chunk in job.chunks(number, UNPLACED):
        for topic, partition, key, value in chunk:
            while True:
                try:
                    producer.produce(topic, value, key, partition, on_delivery)
                    break
                except BufferError:
                    gevent.sleep(_POLL_S)
        meter.sent += len(chunk)
        if not meter.running:
            return
        gevent.sleep(0)


def _rate(producer: Producer, meter: Meter, job: Job, number: int) -> None:
    pacer = Pacer(job.workload.rate)
    for burst in job.chunks(number, UNPLACED, pacer.burst):
        while (pause := pacer.pause()) > 0:
            gevent.sleep(pause)
        if not meter.running:
            return
        then = timing(meter, pacer.begin())
        for topic, partition, key, value in burst:
            producer.produce(topic, value, key, partition, then)
        meter.sent += len(burst)
