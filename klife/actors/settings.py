"""What the actors need to know, in the units they work in: seconds on the monotonic clock, bytes, Kafka's
numbers.

The api layer validates what users write (milliseconds, names) and translates it once, into these; no actor
ever sees a user's option. The defaults are those of the options, so there are none here. (Named tuples,
because a frozen dataclass of so many fields takes 1 to 2 ms to make, at each import.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import ssl

    from pydantic import SecretStr

    from klife.actors.principal import Principal

NEVER = float("inf")  # a time that does not come
HUB_RUNS_EVERY_MS = 1  # so that a caller in a tight loop is noticed after one, and stopped after two or three


class TlsSettings(NamedTuple):
    """How to speak TLS: by a context of the user's, which nobody changes, or by files (PEM) of which it is
    made. Without `ca_file` the system's authorities are trusted.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    key_password: SecretStr | None = None
    check_hostname: bool = True
    context: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"TlsSettings(ca_file={self.ca_file!r}, cert_file={self.cert_file!r}, check_hostname={self.check_hostname})"


class SaslSettings(NamedTuple):
    """How to authenticate. `mechanism` is Kafka's name of one, or one of the user's own."""

    mechanism: Any
    username: str | None = None
    password: SecretStr | None = None
    token_provider: Any = None

    def __repr__(self) -> str:
        return f"SaslSettings(username={self.username!r})"  # what an object of the user's shows may be anything


class ConnectionSettings(NamedTuple):
    """How connections to brokers behave. `tls` and `sasl` are None where there is none."""

    connect_timeout: float
    request_timeout: float
    reconnect_backoff: float
    reconnect_backoff_max: float
    max_response_bytes: int
    socket_options: Sequence[tuple[int, int, int | bytes]]
    max_idle: float
    principal: Principal
    tls: TlsSettings | None = None
    sasl: SaslSettings | None = None
    observer: Any = None  # the `Observer` of the client's hooks, if it has any


class ProducerSettings(NamedTuple):
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
    principal: Principal
    transactional_id: str | None = None
    observer: Any = None  # as a connection's


class TxnPoolSettings(NamedTuple):
    """A pool of transactional producers, which have ids of `base_txn_id` and a number, or random ones where
    that is "". `producer` is how each of them sends.
    """

    name: str
    base_txn_id: str
    pool_size: int  # transactions that may be open at once
    txn_timeout: float
    checkout_timeout: float
    producer: ProducerSettings


class ClientSettings(NamedTuple):
    """A whole client."""

    name: str
    bootstrap: tuple[tuple[str, int], ...]
    producers: tuple[ProducerSettings, ...]
    default_producer: str
    connection: ConnectionSettings
    metadata_max_age: float
    allow_auto_create_topics: bool
    unknown_topic: float
    max_buffered_bytes: int
    block_on_full: bool
    max_block: float
    default_partitioner: Any
    topic_producers: Mapping[str, str]
    topic_partitioners: Mapping[str, Any]
    topic_serializers: Mapping[str, tuple[Any, Any]]  # of keys and values; None where there is none of one
    prefetched_topics: tuple[str, ...]
    restart_after_fork: bool
    in_own_thread: bool  # else in the thread that starts it
    client_id: str  # of requests that are no producer's
    name_is_made_up: bool  # its user gave none
    txn_pools: tuple[TxnPoolSettings, ...]
    default_txn_pool: str | None  # None where there are no pools
    observer: Any = None
