"""What the actors need to know, in the units they work in: seconds on the monotonic clock, bytes, Kafka's
numbers.

The api layer validates what users write (milliseconds, names) and translates it once, into these; no actor
ever sees a user's option. The defaults are those of the options, so there are none here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

    from pydantic import SecretStr

NEVER = float("inf")  # a time that does not come
HUB_RUNS_EVERY_MS = 1  # so that a caller in a tight loop is noticed after one, and stopped after two or three


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How to speak TLS: by a context of the user's, which nobody changes, or by files (PEM) of which it is
    made. Without `ca_file` the system's authorities are trusted.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    key_password: SecretStr | None = field(default=None, repr=False)
    check_hostname: bool = True
    context: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class SaslSettings:
    """How to authenticate. `mechanism` is Kafka's name of one, or one of the user's own."""

    mechanism: Any = field(repr=False)  # what an object of the user's shows may be anything
    username: str | None = None
    password: SecretStr | None = field(default=None, repr=False)
    token_provider: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How connections to brokers behave. `tls` and `sasl` are None where there is none."""

    connect_timeout: float
    request_timeout: float
    reconnect_backoff: float
    reconnect_backoff_max: float
    max_response_bytes: int
    socket_options: Sequence[tuple[int, int, int | bytes]]
    max_idle: float
    tls: TlsSettings | None = None
    sasl: SaslSettings | None = None


@dataclass(frozen=True, slots=True)
class ProducerSettings:
    """How one producer behaves. `acks` is -1 (all), 1 or 0; `codec` is Kafka's number.

    Batches of `compress_elsewhere_from` bytes and more are compressed in the hub's thread pool, smaller ones
    in the batcher's greenlet.
    """

    name: str
    client_id: str
    acks: int
    linger: float
    batch_size_bytes: int
    delivery_timeout: float
    request_timeout: float
    retry_backoff: float
    retry_backoff_max: float
    max_in_flight: int
    batchers_count: int
    idempotent: bool
    codec: int
    compression_level: int | None
    compress_elsewhere_from: int  # bytes; smaller payloads are compressed at once
    transactional_id: str | None = None


@dataclass(frozen=True, slots=True)
class TxnPoolSettings:
    """A pool of transactional producers, which have ids of `base_txn_id` and a number, or random ones where
    that is "". `producer` is how each of them sends.
    """

    name: str
    base_txn_id: str
    pool_size: int  # transactions that may be open at once
    txn_timeout: float
    checkout_timeout: float
    producer: ProducerSettings


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """A whole client."""

    name: str
    bootstrap: tuple[tuple[str, int], ...]
    producers: tuple[ProducerSettings, ...]
    default_producer: str
    connection: ConnectionSettings
    metadata_max_age: float
    max_buffered_bytes: int
    block_on_full: bool
    max_block: float
    default_partitioner: Any
    topic_producers: Mapping[str, str]
    topic_partitioners: Mapping[str, Any]
    prefetched_topics: tuple[str, ...]
    restart_after_fork: bool
    client_id: str  # of requests that are no producer's
    name_is_made_up: bool  # its user gave none
    txn_pools: tuple[TxnPoolSettings, ...]
    default_txn_pool: str | None  # None where there are no pools
