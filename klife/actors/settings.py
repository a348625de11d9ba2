"""What the actors need to know, in the units they work in: seconds on the monotonic clock, bytes, Kafka's numbers.

The api layer validates what users write (milliseconds, names) and translates it once, here; no actor ever sees a user's option.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HUB_RUNS_EVERY_MS = 1  # so that a caller in a tight loop is noticed after one, and stopped after two or three


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How connections to brokers behave."""

    connect_timeout: float = 10.0
    request_timeout: float = 15.0
    reconnect_backoff: float = 0.05
    reconnect_backoff_max: float = 10.0
    max_response_bytes: int = 104_857_600
    socket_options: Sequence[tuple[int, int, int | bytes]] = ()
    max_idle: float = 540.0


@dataclass(frozen=True, slots=True)
class ProducerSettings:
    """How one producer behaves. `acks` is -1 (all), 1 or 0; `codec` is Kafka's number."""

    name: str
    client_id: str
    acks: int = -1
    linger: float = 0.0
    batch_size_bytes: int = 512_000
    delivery_timeout: float = 60.0
    request_timeout: float = 15.0
    retry_backoff: float = 0.1
    retry_backoff_max: float = 1.0
    max_in_flight: int = 1
    batchers_count: int = 1
    idempotent: bool = True
    codec: int = 0
    compression_level: int | None = None


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """A whole client."""

    name: str
    bootstrap: tuple[tuple[str, int], ...]
    producers: tuple[ProducerSettings, ...]
    default_producer: str
    connection: ConnectionSettings = field(default_factory=ConnectionSettings)
    metadata_max_age: float = 300.0
    max_buffered_bytes: int = 33_554_432
    block_on_full: bool = True
    max_block: float = 60.0
    default_partitioner: Any = "murmur2"
    topic_producers: Mapping[str, str] = field(default_factory=dict)
    topic_partitioners: Mapping[str, Any] = field(default_factory=dict)
    prefetched_topics: tuple[str, ...] = ()
    client_id: str = "klife"  # of requests that are no producer's
    restart_after_fork: bool = True
