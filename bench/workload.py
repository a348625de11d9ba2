"""What one measurement asks of a contestant, as plain values that travel to its process as JSON, and the
records it sends.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Literal

Style = Literal["sync", "callback", "delivery", "batch", "rate", "transaction"]
TargetName = Literal["mock", "cluster", "cluster-3.9"]
Listener = Literal["PLAINTEXT", "SSL", "SASL_SSL"]

# What a client may hold unsent and unacknowledged when nobody waits: Java's `buffer.memory` default, and
# klife's.
BUFFER_BYTES = 32 * 1024 * 1024

CHUNK = 1000
"""Records between two looks at anything else (the meter, earlier deliveries, poll), and in a batch."""
WINDOW = 100
"""Chunks or batches that are on their way before the outcome of the oldest is waited for: as many records as
librdkafka's own queue holds (`queue.buffering.max.messages`). With fewer, records that keys spread over 90
partitions go to real brokers in small batches.
"""

# Payloads are prepared, and each worker goes round its own: enough that batches differ, few enough to take no
# time.
_PREPARED_BYTES = 16 * 1024 * 1024
_MOST_ITERATIONS = 16_384

_WORDS = ("order", "customer", "pending", "shipped", "total", "EUR", "street", "created", "null", "true", "false", "17", "2041")


@dataclass(frozen=True)
class Workload:
    """The shape of the load: `case` tells it from the others of its scenario.

    Styles, for each of `workers`:

    - sync: send one record to every topic, wait until all are acknowledged, and again; that is an iteration
    - callback: send as fast as the client lets one, with a callback for each record
    - delivery: the same with a future (or what the client has of the kind) for each record, looked at once it
      is settled
    - batch: the same with the client's call for many records, a thousand at a time, and the outcome of each
      looked at
    - rate: send `rate` records a second, whatever the client does, and take each one's latency
    - transaction: begin one, send one record to every topic, commit, and again

    `placed` records name a random partition; of the others the client chooses it by its own default. Keys are
    random, or drawn from `distinct_keys`. `level` is that of the compression, where it is not the client's
    own. `idle_topics` are known to the client and not sent to. With `ticking`, a neighbour in the client's
    process asks to be woken every 5 ms, and how late that happens is measured. `listener` is the brokers'
    that is connected to; only real ones have others than PLAINTEXT. `in_flight` are requests to a broker, for
    clients that have an option for it. `window` are the chunks or batches that are on their way before the
    outcome of the oldest is waited for, where a client has more than callbacks. With several `processes` each
    has a client and its share of the workers.
    """

    scenario: str
    case: str
    style: Style
    workers: int = 1
    topics: int = 3
    partitions: int = 30
    idle_topics: int = 0
    value_bytes: int = 1000
    value_kind: Literal["random", "text"] = "random"
    key_bytes: int = 50
    distinct_keys: int = 0
    placed: bool = True
    compression: str = "none"
    level: int | None = None
    rate: int = 0
    ticking: bool = False
    listener: Listener = "PLAINTEXT"
    in_flight: int = 1
    window: int = WINDOW
    processes: int = 1

    @property
    def name(self) -> str:
        return f"{self.scenario}, {self.case}"

    @property
    def unit(self) -> str:
        return {"sync": "iterations", "transaction": "transactions"}.get(self.style, "records")

    @property
    def layout(self) -> tuple[int, int, int]:
        """What the cluster must hold: topics, partitions of each, idle topics. Workloads of one layout share
        topics.
        """
        return self.topics, self.partitions, self.idle_topics


Payload = tuple[str, Any, bytes | None, bytes]
"""Topic, partition (an int, or what the client calls a partition of its own choice), key, value. Plain,
because taking a named tuple apart costs as much as sending some records does.
"""


@dataclass(frozen=True)
class Job:
    """One measurement: a workload on a cluster, for `seconds` after a warm-up that is not counted. `security`
    are the options `tls` and `sasl` of klife that its listener needs. Where it is one of several processes,
    `meeting` is the folder in which each says that it is warm, before all begin to measure.
    """

    contestant: str
    workload: Workload
    target: TargetName
    bootstrap_servers: str
    topics: list[str]
    idle_topics: list[str]
    warmup_s: float
    seconds: float
    security: dict[str, Any] = field(default_factory=dict)
    meeting: str = ""

    @property
    def buffered_records(self) -> int:
        """How many records fill `BUFFER_BYTES`, for clients that bound nothing themselves."""
        return BUFFER_BYTES // (self.workload.value_bytes + self.workload.key_bytes)

    def iterations(self, worker: int, unplaced: Any = None) -> Iterator[list[Payload]]:
        """Endless iterations, each of one payload to every topic. They differ by worker.

        `unplaced` is what the client calls a partition of its own choice.
        """
        return cycle(self._prepared(worker, unplaced))

    def chunks(self, worker: int, unplaced: Any = None, size: int = CHUNK) -> Iterator[list[Payload]]:
        """The payloads of `iterations`, `size` at a time."""
        flat = [payload for iteration in self._prepared(worker, unplaced) for payload in iteration]
        return cycle([flat[start : start + size] for start in range(0, len(flat), size)])

    def batches(self, worker: int) -> Iterator[list[Payload]]:
        """Like `chunks`, each of one topic, the topics in turn."""
        by_topic = list(zip(*self._prepared(worker, None), strict=True))
        starts = range(0, len(by_topic[0]), CHUNK)
        return cycle([list(payloads[start : start + CHUNK]) for start in starts for payloads in by_topic])

    def _prepared(self, worker: int, unplaced: Any) -> list[list[Payload]]:
        shape, source = self.workload, random.Random(worker)
        keys = [source.randbytes(shape.key_bytes) for _ in range(shape.distinct_keys)]

        def key() -> bytes | None:
            if not shape.key_bytes:
                return None
            return source.choice(keys) if keys else source.randbytes(shape.key_bytes)

        def value() -> bytes:
            if shape.value_kind == "random":
                return source.randbytes(shape.value_bytes)
            return " ".join(source.choices(_WORDS, k=shape.value_bytes // 4)).encode()[: shape.value_bytes]

        def payload(topic: str) -> Payload:
            return topic, source.randrange(shape.partitions) if shape.placed else unplaced, key(), value()

        bytes_of_one = (shape.value_bytes + shape.key_bytes) * shape.topics * shape.workers
        count = min(_PREPARED_BYTES // bytes_of_one, _MOST_ITERATIONS // shape.workers)
        return [[payload(topic) for topic in self.topics] for _ in range(count)]
