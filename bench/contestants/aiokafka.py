"""aiokafka: asyncio with compiled record batches."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine
from itertools import cycle
from typing import Any

from aiokafka import AIOKafkaProducer

from bench.meter import Meter, Sample
from bench.pacing import Pacer
from bench.ticking import TICK_S
from bench.workload import Job, Style

DISTRIBUTIONS = ("aiokafka",)
DRIVEN = (
    "N tasks share one AIOKafkaProducer. Sync: send() three times, await the futures. Callbacks: send() with a done callback on each "
    "future; workers pause while 32 MiB are unacknowledged. Deliveries: send(), and await the future once 100 000 more are on their "
    "way. Every 1000 records the event loop gets its turn, which send() does not give it while there is room. Transactions: an "
    "AIOKafkaProducer for each task, send() three times in an `async with producer.transaction()`."
)
SETTINGS: dict[str, object] = {
    # It never has more than one request in flight per broker, and has no option for it.
    "acks": "all",
    "enable_idempotence": True,
    "linger_ms": 0,
    "max_batch_size": 512_000,
}


def run(job: Job) -> Sample:
    return asyncio.run(_run(job))


async def _run(job: Job) -> Sample:
    meter = Meter(job)
    producers = [_producer(job)]
    if job.workload.style == "transaction":
        names = [f"bench-{os.getpid()}-{number}" for number in range(job.workload.workers)]
        producers = [_producer(job, transactional_id=name) for name in names]
    try:
        await asyncio.gather(*(producer.start() for producer in producers))
        worker = _WORKERS[job.workload.style]
        turns = zip(range(job.workload.workers), cycle(producers), strict=False)
        workers = [asyncio.create_task(worker(producer, meter, job, number)) for number, producer in turns]
        if job.workload.ticking:
            workers.append(asyncio.create_task(_tick(meter)))
        await meter.take_async()
        await asyncio.gather(*workers)
        await asyncio.gather(*(producer.flush() for producer in producers))
        # Callbacks of futures run in the loop's next turn.
        await asyncio.sleep(0)
        return meter.sample()
    finally:
        await asyncio.gather(*(producer.stop() for producer in producers))


def _producer(job: Job, **more: str) -> AIOKafkaProducer:
    compression = None if job.workload.compression == "none" else job.workload.compression
    return AIOKafkaProducer(bootstrap_servers=job.bootstrap_servers, compression_type=compression, **SETTINGS, **more)


async def _sync(producer: AIOKafkaProducer, meter: Meter, job: Job, number: int) -> None:
    for iteration in job.iterations(number):
        if not meter.running:
            return
        started = time.perf_counter()
        futures = [await producer.send(topic, value, key, partition) for topic, partition, key, value in iteration]
        for future in futures:
            await future
        meter.latencies.append(time.perf_counter() - started)


async def _callback(producer: AIOKafkaProducer, meter: Meter, job: Job, number: int) -> None:
    # Each worker has its share of the buffer.
    window = asyncio.Semaphore(job.buffered_records // job.workload.workers)

    def on_delivery(future: asyncio.Future[object]) -> None:
        error = future.exception()
        if error is not None:
            meter.fail(error)
        meter.acked += 1
        window.release()

    for chunk in job.chunks(number):
        if not meter.running:
            return
        for topic, partition, key, value in chunk:
            await window.acquire()
            (await producer.send(topic, value, key, partition)).add_done_callback(on_delivery)
        meter.sent += len(chunk)
        await asyncio.sleep(0)


async def _delivery(producer: AIOKafkaProducer, meter: Meter, job: Job, number: int) -> None:
    async def settle(futures: list[asyncio.Future[object]]) -> None:
        for future in futures:
            await future
        meter.acked += len(futures)

    window: deque[list[asyncio.Future[object]]] = deque()
    for chunk in job.chunks(number):
        window.append([await producer.send(topic, value, key, partition) for topic, partition, key, value in chunk])
        if len(window) > job.workload.window:
            await settle(window.popleft())
        await asyncio.sleep(0)
        if not meter.running:
            break
    for futures in window:
        await settle(futures)


async def _rate(producer: AIOKafkaProducer, meter: Meter, job: Job, number: int) -> None:
    def timing(started: float) -> Callable[[asyncio.Future[object]], None]:
        def on_delivery(future: asyncio.Future[object]) -> None:
            error = future.exception()
            if error is not None:
                meter.fail(error)
            meter.latencies.append(time.perf_counter() - started)

        return on_delivery

    pacer = Pacer(job.workload.rate)
    for burst in job.chunks(number, size=pacer.burst):
        while (pause := pacer.pause()) > 0:
            await asyncio.sleep(pause)
        if not meter.running:
            return
        then = timing(pacer.begin())
        for topic, partition, key, value in burst:
            (await producer.send(topic, value, key, partition)).add_done_callback(then)
        meter.sent += len(burst)


async def _transaction(producer: AIOKafkaProducer, meter: Meter, job: Job, number: int) -> None:
    for iteration in job.iterations(number):
        if not meter.running:
            return
        started = time.perf_counter()
        async with producer.transaction():
            for topic, partition, key, value in iteration:
                await producer.send(topic, value, key, partition)
        meter.latencies.append(time.perf_counter() - started)


async def _tick(meter: Meter) -> None:
    while meter.running:
        before = time.perf_counter()
        await asyncio.sleep(TICK_S)
        meter.gaps.append(time.perf_counter() - before - TICK_S)


_WORKERS: dict[Style, Callable[[AIOKafkaProducer, Meter, Job, int], Coroutine[Any, Any, None]]] = {
    "sync": _sync,
    "callback": _callback,
    "delivery": _delivery,
    "rate": _rate,
    "transaction": _transaction,
}
