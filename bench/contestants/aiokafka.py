"""aiokafka: asyncio with compiled record batches."""

from __future__ import annotations

import asyncio
import time

from aiokafka import AIOKafkaProducer

from bench.meter import Meter, Sample
from bench.workload import Job

DISTRIBUTIONS = ("aiokafka",)
DRIVEN = (
    "N tasks share one AIOKafkaProducer. Sync: send() three times, await the futures. Async: send() with a done callback on each "
    "future; workers pause while 32 MiB are unacknowledged, so that full batches do not starve the event loop."
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
    producer = AIOKafkaProducer(bootstrap_servers=job.bootstrap_servers, **SETTINGS)
    await producer.start()
    try:
        meter = Meter(job)
        worker = _sync_worker if job.workload.mode == "sync" else _async_worker
        workers = [asyncio.create_task(worker(producer, meter, job, number)) for number in range(job.workload.workers)]
        await meter.take_async()
        await asyncio.gather(*workers)
        await producer.flush()
        # Callbacks of futures run in the loop's next turn.
        await asyncio.sleep(0)
        return meter.sample()
    finally:
        await producer.stop()


async def _sync_worker(producer: AIOKafkaProducer, meter: Meter, job: Job, number: int) -> None:
    for iteration in job.iterations(number):
        if not meter.running:
            return
        started = time.perf_counter()
        futures = [await producer.send(topic, value, key, partition) for topic, partition, key, value in iteration]
        for future in futures:
            await future
        meter.latencies.append(time.perf_counter() - started)


async def _async_worker(producer: AIOKafkaProducer, meter: Meter, job: Job, number: int) -> None:
    # Each worker has its share of the buffer.
    window = asyncio.Semaphore(job.buffered_records // job.workload.workers)

    def on_delivery(future: asyncio.Future[object]) -> None:
        error = future.exception()
        if error is not None:
            meter.fail(error)
        meter.acked += 1
        window.release()

    for topic, partition, key, value in job.payloads(number):
        if not meter.running:
            return
        await window.acquire()
        (await producer.send(topic, value, key, partition)).add_done_callback(on_delivery)
