"""`Collectors`: klife's metrics as `prometheus_client` has them, once in a registry however many hooks feed them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

DELIVERY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
REQUEST_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)


class Collectors:
    """All of them, in `registry`, if there is one. Each has the label `client`, before its others.

    Raises:
        ValueError: the registry has one of them already.
    """

    def __init__(self, registry: CollectorRegistry | None) -> None:
        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(f"klife_{name}", says, ("client", *labels), registry=registry)

        def gauge(name: str, says: str, of_all: Any = "livesum") -> Gauge:
            return Gauge(f"klife_{name}", says, ("client",), registry=registry, multiprocess_mode=of_all)

        of_topic = ("producer", "topic")
        self.records: Counter = counter("records_delivered", "Records that the brokers have confirmed.", *of_topic)
        self.bytes: Counter = counter("bytes_delivered", "Their bytes, before compression.", *of_topic)
        self.failed: Counter = counter(
            "records_failed", "Records that failed, or whose fate is unknown.", *of_topic, "error", "possibly_persisted"
        )
        self.retries: Counter = counter("batch_retries", "Batches that were sent once more.", *of_topic)
        self.request_errors: Counter = counter("request_errors", "Requests that were never answered.", "broker", "api")
        self.connections: Counter = counter("connections", "Connections that became ready, failed, or were closed.", "broker", "state")
        self.throttled: Counter = counter("throttled_seconds", "Seconds for which brokers had us wait, for quotas.", "broker")
        self.raw: Counter = counter(
            "compression_input_bytes", "Bytes of batches before they were compressed.", "producer", "topic", "codec"
        )
        self.compressed: Counter = counter("compression_output_bytes", "And after.", "producer", "topic", "codec")
        self.compressing: Counter = counter("compression_seconds", "Seconds that took, in any thread.", "producer", "topic", "codec")
        self.waits: Counter = counter("buffer_waits", "Calls of produce that waited for room.", "producer", "topic", "granted")
        self.waited: Counter = counter("buffer_wait_seconds", "Seconds for which they waited.", "producer", "topic")
        self.delivery_seconds: Histogram = Histogram(
            "klife_delivery_seconds",
            "From a batch's first record until it was delivered.",
            ("client", *of_topic),
            registry=registry,
            buckets=DELIVERY_BUCKETS,
        )
        self.request_seconds: Histogram = Histogram(
            "klife_request_seconds",
            "From a request until its answer.",
            ("client", "broker", "api"),
            registry=registry,
            buckets=REQUEST_BUCKETS,
        )
        self.buffer_bytes: Gauge = gauge("buffer_bytes", "Bytes of records without an outcome.")
        self.buffer_limit: Gauge = gauge("buffer_limit_bytes", "max_buffered_bytes.")
        self.waiting: Gauge = gauge("buffer_waiting", "Callers of produce that wait for room now.")
        self.unsettled: Gauge = gauge("records_unsettled", "Records without an outcome.")
        self.oldest: Gauge = gauge("oldest_unsettled_seconds", "The age of the oldest of them.", "livemax")
        self.connected: Gauge = gauge("brokers_connected", "Connections that are ready for requests.")
        self.hub_gap: Gauge = gauge(
            "hub_gap_seconds_max", "The longest time in the last second for which the hub did not run.", "livemax"
        )
        # Kept, since `labels` takes as long as adding to what it finds.
        self.of_topic: Callable[[str, str, str], tuple[Counter, Counter, Histogram]] = cache(self._of_topic)
        self.of_api: Callable[[str, str, str], Histogram] = cache(self.request_seconds.labels)

    def _of_topic(self, client: str, producer: str, topic: str) -> tuple[Counter, Counter, Histogram]:
        """Records and bytes delivered, and the seconds that took."""
        labels = client, producer, topic
        return self.records.labels(*labels), self.bytes.labels(*labels), self.delivery_seconds.labels(*labels)


_lock = threading.Lock()
_in_registries: WeakKeyDictionary[CollectorRegistry, Collectors] = WeakKeyDictionary()


def collectors_of(registry: CollectorRegistry | None) -> Collectors:
    """Those of `registry`, made by whoever asks first, and again if they were unregistered.

    Raises:
        ValueError: the registry has metrics of these names that are not klife's.
    """
    if registry is None:
        return Collectors(None)
    with _lock:
        try:
            made = _in_registries[registry] = Collectors(registry)
        except ValueError:
            if registry not in _in_registries:
                raise
            made = _in_registries[registry]
    return made
