"""Metrics for Prometheus: `Client.start(..., hooks=[PrometheusHooks()])`, with the extra `prometheus`.

They are counters and histograms of `prometheus_client`, so they are exposed like an application's own, and
with several processes, too: in its multiprocess mode (`PROMETHEUS_MULTIPROC_DIR`) whoever is scraped adds up
what all workers wrote.

A batch is delivered every few microseconds, and to count in a metric takes one or two. So what hooks hear is
added up in plain numbers, and goes into the metrics a tenth of a second later, at most ten times a second; and
once more when the client ends.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from typing import Any

import gevent
from prometheus_client import REGISTRY, CollectorRegistry

from klife.hooks import BufferWait, Compression, Connection, DeliveredBatch, FailedBatch, Hooks, Request, Retry, Sample, Throttle
from klife.metrics.collectors import DELIVERY_BUCKETS, REQUEST_BUCKETS, collectors_of
from klife_supervision.let_hub_run import LongWork

_WRITTEN_AFTER = 0.1  # seconds


class _Times:
    """Observations of a histogram that are not in it yet."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def add_to(self, histogram: Any) -> None:
        # What `observe` does, for many at once; there is no public way. tests/api/test_prometheus.py holds it.
        for bucket, count in zip(histogram._buckets, self.counts, strict=True):
            if count:
                bucket.inc(count)
        histogram._sum.inc(self.total)


class _Delivered(_Times):
    """What was delivered of one topic, and is not in the metrics yet."""

    __slots__ = ("records", "bytes")

    def __init__(self) -> None:
        super().__init__(DELIVERY_BUCKETS)
        self.records = 0
        self.bytes = 0


class _Unwritten:
    """What one client's hooks have heard since the metrics were written."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.delivered: dict[tuple[str, str], _Delivered] = {}  # by producer and topic
        self.requests: dict[tuple[int | None, str], _Times] = {}  # by broker and API


class PrometheusHooks(Hooks):
    """Counts what clients do, in a `registry` of one's own if that is wanted. Several clients of a process may
    have one object, or each its own: metrics are the registry's, and clients differ by the label `client`.
    """

    def __init__(self, registry: CollectorRegistry | None = REGISTRY) -> None:
        self._metrics = collectors_of(registry)
        self._unwritten: dict[str, _Unwritten] = {}  # by client

    # what comes often

    def on_delivered(self, batch: DeliveredBatch) -> None:
        client, producer, topic, _, records, size, seconds, _, _ = batch  # once a batch: quicker than to name each
        unwritten = self._of(client).delivered
        of_topic = producer, topic
        delivered = unwritten.get(of_topic)
        if delivered is None:
            delivered = unwritten[of_topic] = _Delivered()
        delivered.records += records
        delivered.bytes += size
        delivered.total += seconds
        delivered.counts[bisect_left(DELIVERY_BUCKETS, seconds)] += 1

    def on_request(self, request: Request) -> None:
        client, broker, _, api, seconds, error = request
        if error is not None:
            self._metrics.request_errors.labels(client, _broker(broker), api).inc()
            return
        unwritten = self._of(client).requests
        where = broker, api
        times = unwritten.get(where)
        if times is None:
            times = unwritten[where] = _Times(REQUEST_BUCKETS)
        times.observe(seconds)

    def _of(self, client: str) -> _Unwritten:
        unwritten = self._unwritten.get(client)
        if unwritten is None or unwritten.process != os.getpid():  # else, in a forked child, it is the parent's to write
            unwritten = self._unwritten[client] = _Unwritten()
            gevent.spawn_later(_WRITTEN_AFTER, self._write, client, lets_hub_run=True)
        return unwritten

    def _write(self, client: str, *, lets_hub_run: bool = False) -> None:
        unwritten = self._unwritten.pop(client, None)
        if unwritten is None or unwritten.process != os.getpid():
            return
        work = LongWork()
        for of_topic, delivered in unwritten.delivered.items():
            # A topic takes 4 us, and 60 the first time.
            if lets_hub_run and work.gives_way() and unwritten.process != os.getpid():  # this greenlet is a copy, in a forked child
                return
            records, size, seconds = self._metrics.of_topic(client, *of_topic)
            records.inc(delivered.records)
            size.inc(delivered.bytes)
            delivered.add_to(seconds)
        for (broker, api), times in unwritten.requests.items():
            times.add_to(self._metrics.of_api(client, _broker(broker), api))

    # what does not

    def on_failed(self, batch: FailedBatch) -> None:
        error = batch.error
        fate = "true" if error.possibly_persisted else "false"
        self._metrics.failed.labels(batch.client, batch.producer, batch.topic, type(error).__name__, fate).inc(batch.records)

    def on_retry(self, retry: Retry) -> None:
        self._metrics.retries.labels(retry.client, retry.producer, retry.topic).inc()

    def on_connection(self, connection: Connection) -> None:
        self._metrics.connections.labels(connection.client, _broker(connection.broker), connection.state).inc()

    def on_throttle(self, throttle: Throttle) -> None:
        self._metrics.throttled.labels(throttle.client, _broker(throttle.broker)).inc(throttle.seconds)

    def on_compression(self, compression: Compression) -> None:
        labels = compression.client, compression.producer, compression.topic, compression.codec
        self._metrics.raw.labels(*labels).inc(compression.bytes)
        self._metrics.compressed.labels(*labels).inc(compression.compressed_bytes)
        self._metrics.compressing.labels(*labels).inc(compression.seconds)

    def on_buffer_wait(self, wait: BufferWait) -> None:
        self._metrics.waits.labels(wait.client, wait.producer, wait.topic, "true" if wait.granted else "false").inc()
        self._metrics.waited.labels(wait.client, wait.producer, wait.topic).inc(wait.seconds)

    def on_sample(self, sample: Sample) -> None:
        self._write(sample.client)  # for the last one: then nobody writes it later
        for gauge, value in (
            (self._metrics.buffer_bytes, sample.buffer_bytes),
            (self._metrics.buffer_limit, sample.max_buffered_bytes),
            (self._metrics.waiting, sample.waiting_for_buffer),
            (self._metrics.unsettled, sample.unsettled),
            (self._metrics.oldest, sample.oldest_unsettled),
            (self._metrics.connected, sample.brokers_connected),
            (self._metrics.hub_gap, sample.hub_gap),
        ):
            gauge.labels(sample.client).set(value)


def _broker(node_id: int | None) -> str:
    return "bootstrap" if node_id is None else str(node_id)
