"""The load of `klife demo`: greenlets that produce one record after another, and wait for each.

Every record carries its number; key and value follow from it. The order in which records were queued is noted when `produce` returns,
with no switch to another greenlet in between, and the log of each partition must repeat it. (Calls that overlap have no order of
their own: `produce` may let other greenlets go first.)
"""

from __future__ import annotations

import random
import struct
from array import array
from collections.abc import Sequence
from itertools import count
from time import perf_counter
from typing import NamedTuple, Self

import gevent

from klife.api.client import Client
from klife.errors import ProduceError
from klife.record import Record

VALUE_BYTES = 200
CUSTOMERS = 500
SETTLED_SECONDS = 65.0  # every delivery is settled within its delivery_timeout_ms, 60 s

_NUMBER = struct.Struct(">Q")
_NOISE = random.Random(0).randbytes(1 << 16)  # values that differ from each other, and compress as badly as real ones


def value_of(number: int) -> bytes:
    """The value of a record: its number, and bytes that follow from it."""
    at = number * 31 % (len(_NOISE) - VALUE_BYTES)
    return _NUMBER.pack(number) + _NOISE[at : at + VALUE_BYTES - _NUMBER.size]


def key_of(number: int) -> bytes:
    """The key of a record. Keys come again, as customers do, and their records stay together."""
    return b"customer-%d" % (number * 7919 % CUSTOMERS)


def number_in(record: Record) -> int | None:
    """The number of a record that was read, or None when its key and value are not exactly those that were sent."""
    if record.value is None or len(record.value) != VALUE_BYTES:
        return None
    (number,) = _NUMBER.unpack_from(record.value)
    return number if record.value == value_of(number) and record.key == key_of(number) else None


class Place(NamedTuple):
    """Where the client said a record was written."""

    topic: str
    partition: int
    offset: int


class Figures(NamedTuple):
    """What was measured. Latencies are seconds from `produce` until `get` returned, ascending."""

    seconds: float
    records: int
    requests: int
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds if self.seconds else 0.0

    @property
    def records_per_request(self) -> float:
        """How many records shared a produce request, on average."""
        return self.records / self.requests if self.requests else 0.0

    def latency(self, share: float) -> float:
        """The latency, in seconds, that this share of the records did not exceed."""
        return self.latencies[min(int(share * len(self.latencies)), len(self.latencies) - 1)] if self.latencies else 0.0


class Load:
    """Greenlets that produce until `finish`, or, killed, until the end of a `with` block.

    `queued` are the numbers of the records in the order the client took them; `places` and `failures`, by number, what it told of each.
    """

    def __init__(self, client: Client, topics: Sequence[str], greenlets: int) -> None:
        for topic in topics:
            client.partitions(topic)  # so that no latency is that of finding the topic
        self.queued: list[int] = []
        self.places: dict[int, Place] = {}
        self.failures: dict[int, ProduceError] = {}
        self._client = client
        self._topics = topics
        self._numbers = count()
        self._latencies = array("d")
        self._running = True
        self.measure()
        self._greenlets = [gevent.spawn(self._produce) for _ in range(greenlets)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        gevent.killall(self._greenlets)

    def measure(self) -> None:
        """Begin the measurement anew: `figures` tells of what comes from now on."""
        self._began = perf_counter()
        self._first_latency = len(self._latencies)
        self._first_request = self._requests()

    def figures(self, since: int = 0) -> Figures:
        """What was measured so far; latencies without the first `since`."""
        latencies = self._latencies[self._first_latency :]
        requests = self._requests() - self._first_request
        return Figures(perf_counter() - self._began, len(latencies), requests, sorted(latencies[since:]))

    def finish(self) -> None:
        """Have the greenlets end after their current record, and wait for them."""
        self._running = False
        gevent.joinall(self._greenlets, timeout=SETTLED_SECONDS, raise_error=True)

    def _produce(self) -> None:
        while self._running:
            number = next(self._numbers)
            record = Record(self._topics[number % len(self._topics)], value_of(number), key_of(number))
            began = perf_counter()
            try:
                delivery = self._client.produce(record)
                self.queued.append(number)
                result = delivery.get()
            except ProduceError as error:
                self.failures[number] = error
                continue
            self._latencies.append(perf_counter() - began)
            assert result.partition is not None
            assert result.offset is not None
            self.places[number] = Place(result.topic, result.partition, result.offset)

    def _requests(self) -> int:
        return sum(producer.requests for producer in self._client.status().producers)
