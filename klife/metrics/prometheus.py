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
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from klife.hooks import BufferWait, Compression, Connection, DeliveredBatch, FailedBatch, Hooks, Request, Retry, Sample, Throttle

DELIVERY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
REQUEST_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)

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
    """Counts what clients do. One object may be given to several clients of a process, and in a `registry` of
    one's own.
    """

    def __init__(self, registry: CollectorRegistry | None = REGISTRY) -> None:
        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(f"klife_{name}", says, ("client", *labels), registry=registry)

        def gauge(name: str, says: str, of_all: Any = "livesum") -> Gauge:
            return Gauge(f"klife_{name}", says, ("client",), registry=registry, multiprocess_mode=of_all)

        of_topic = ("producer", "topic")
        self._records = counter("records_delivered", "Records that the brokers have confirmed.", *of_topic)
        self._bytes = counter("bytes_delivered", "Their bytes, before compression.", *of_topic)
        self._failed = counter(
            "records_failed", "Records that failed, or whose fate is unknown.", *of_topic, "error", "possibly_persisted"
        )
        self._retries = counter("batch_retries", "Batches that were sent once more.", *of_topic)
        self._request_errors = counter("request_errors", "Requests that were never answered.", "broker", "api")
        self._connections = counter("connections", "Connections that became ready, failed, or were closed.", "broker", "state")
        self._throttled = counter("throttled_seconds", "Seconds for which brokers had us wait, for quotas.", "broker")
        self._raw = counter("compression_input_bytes", "Bytes of batches before they were compressed.", "producer", "topic", "codec")
        self._compressed = counter("compression_output_bytes", "And after.", "producer", "topic", "codec")
        self._compressing = counter("compression_seconds", "Seconds that took, in any thread.", "producer", "topic", "codec")
        self._waits = counter("buffer_waits", "Calls of produce that waited for room.", "producer", "topic", "granted")
        self._waited = counter("buffer_wait_seconds", "Seconds for which they waited.", "producer", "topic")
        self._delivery_seconds = Histogram(
            "klife_delivery_seconds",
            "From a batch's first record until it was delivered.",
            ("client", *of_topic),
            registry=registry,
            buckets=DELIVERY_BUCKETS,
        )
        self._request_seconds = Histogram(
            "klife_request_seconds",
            "From a request until its answer.",
            ("client", "broker", "api"),
            registry=registry,
            buckets=REQUEST_BUCKETS,
        )
        self._buffer_bytes = gauge("buffer_bytes", "Bytes of records without an outcome.")
        self._buffer_limit = gauge("buffer_limit_bytes", "max_buffered_bytes.")
        self._waiting = gauge("buffer_waiting", "Callers of produce that wait for room now.")
        self._unsettled = gauge("records_unsettled", "Records without an outcome.")
        self._oldest = gauge("oldest_unsettled_seconds", "The age of the oldest of them.", "livemax")
        self._connected = gauge("brokers_connected", "Connections that are ready for requests.")
        self._hub_gap = gauge("hub_gap_seconds_max", "The longest time in the last second for which the hub did not run.", "livemax")
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
            self._request_errors.labels(client, _broker(broker), api).inc()
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
            gevent.spawn_later(_WRITTEN_AFTER, self._write, client)
        return unwritten

    def _write(self, client: str) -> None:
        unwritten = self._unwritten.pop(client, None)
        if unwritten is None or unwritten.process != os.getpid():
            return
        for of_topic, delivered in unwritten.delivered.items():
            self._records.labels(client, *of_topic).inc(delivered.records)
            self._bytes.labels(client, *of_topic).inc(delivered.bytes)
            delivered.add_to(self._delivery_seconds.labels(client, *of_topic))
        for (broker, api), times in unwritten.requests.items():
            times.add_to(self._request_seconds.labels(client, _broker(broker), api))

    # what does not

    def on_failed(self, batch: FailedBatch) -> None:
        error = batch.error
        fate = "true" if error.possibly_persisted else "false"
        self._failed.labels(batch.client, batch.producer, batch.topic, type(error).__name__, fate).inc(batch.records)

    def on_retry(self, retry: Retry) -> None:
        self._retries.labels(retry.client, retry.producer, retry.topic).inc()

    def on_connection(self, connection: Connection) -> None:
        self._connections.labels(connection.client, _broker(connection.broker), connection.state).inc()

    def on_throttle(self, throttle: Throttle) -> None:
        self._throttled.labels(throttle.client, _broker(throttle.broker)).inc(throttle.seconds)

    def on_compression(self, compression: Compression) -> None:
        labels = compression.client, compression.producer, compression.topic, compression.codec
        self._raw.labels(*labels).inc(compression.bytes)
        self._compressed.labels(*labels).inc(compression.compressed_bytes)
        self._compressing.labels(*labels).inc(compression.seconds)

    def on_buffer_wait(self, wait: BufferWait) -> None:
        self._waits.labels(wait.client, wait.producer, wait.topic, "true" if wait.granted else "false").inc()
        self._waited.labels(wait.client, wait.producer, wait.topic).inc(wait.seconds)

    def on_sample(self, sample: Sample) -> None:
        self._write(sample.client)  # for the last one: then nobody writes it later
        for gauge, value in (
            (self._buffer_bytes, sample.buffer_bytes),
            (self._buffer_limit, sample.max_buffered_bytes),
            (self._waiting, sample.waiting_for_buffer),
            (self._unsettled, sample.unsettled),
            (self._oldest, sample.oldest_unsettled),
            (self._connected, sample.brokers_connected),
            (self._hub_gap, sample.hub_gap),
        ):
            gauge.labels(sample.client).set(value)


def _broker(node_id: int | None) -> str:
    return "bootstrap" if node_id is None else str(node_id)
