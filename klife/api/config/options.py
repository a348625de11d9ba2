"""The models of everything but the client itself: producer, topic, pool of transactional producers, TLS, SASL.

The options stand in layers, because scopes share them: what any sender needs (`DeliveryOptions`), what a producer adds
(`ProducerOptions`). The client takes a producer's options too, as the defaults of all its producers; which ones a user gave is what
pydantic remembers in `model_fields_set`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PlainValidator

from klife.api.config.base import Options
from klife.api.config.option_types import (
    Acks,
    ClientId,
    CompressionType,
    Expected,
    FilePath,
    FrameBytes,
    Milliseconds,
    Name,
    Partitioning,
    PositiveMilliseconds,
    Secret,
    TokenProvider,
    TopicName,
)

CLIENT_ID_PATTERN = "klife_producer.{client}.{producer}"


class DeliveryOptions(Options):
    """How long, how often and how compressed records are sent: shared by producers and transactional producers."""

    delivery_timeout_ms: PositiveMilliseconds = 60_000
    """Milliseconds from `produce` until a record is delivered or given up, retries included; >= linger_ms + request_timeout_ms."""

    request_timeout_ms: PositiveMilliseconds = 15_000
    """Milliseconds a broker has to answer one request before the request counts as lost and is retried."""

    retry_backoff_ms: PositiveMilliseconds = 100
    """Milliseconds before the first retry of a partition's batch; doubles with each further one, with jitter (KIP-580)."""

    retry_backoff_max_ms: PositiveMilliseconds = 1_000
    """Milliseconds the doubling of retry_backoff_ms stops at."""

    compression_type: CompressionType = "none"
    """The codec of record batches: "none", "gzip", "snappy", "lz4" or "zstd"."""

    compression_level: int | None = None
    """The codec's level (KIP-390): gzip 1 to 9 or -1, lz4 1 to 17, zstd -131072 to 22. None is the codec's own default."""


class ProducerOptions(DeliveryOptions):
    """All options of a producer but its name."""

    client_id: ClientId = CLIENT_ID_PATTERN
    """The client id brokers see in requests, logs and quotas; {client} and {producer} are replaced by their names."""

    acks: Acks = "all"
    """Who must have a record before it counts as delivered: "all" replicas in sync (-1 is taken for it), 1 the leader, 0 nobody."""

    linger_ms: Milliseconds = 0
    """Milliseconds a batch waits for more records. At 0 it goes as soon as a request may; records of one moment still share it."""

    batch_size_bytes: FrameBytes = 512_000
    """Bytes of records in one request to a broker, over all its partitions. (Java's batch.size is per partition.)"""

    max_in_flight_requests: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Requests to a broker that may be unanswered at once, per batcher; at most 5 with idempotence. Order is kept at any number."""

    batchers_count: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Batchers per broker, among which its partitions are divided."""

    enable_idempotence: bool = True
    """Whether the broker drops the duplicates retries make (KIP-98). Needs acks "all"; with other acks it is off unless asked for."""


class ProducerConfig(ProducerOptions):
    """One producer of a client. What it leaves out, it takes from the client's options of the same names."""

    name: Name
    """What `produce(producer=...)` and a topic's `default_producer` call it; unique in its client."""


class TopicConfig(Options):
    """Defaults for the records of one topic. A topic need not be listed to be used; listed ones are looked up at start."""

    name: TopicName
    """The topic."""

    default_producer: Name | None = None
    """The producer of its records; None is the client's default producer."""

    default_partitioner: Partitioning | None = None
    """What chooses the partition of its records; None is the client's default partitioner."""


class TxnPoolConfig(DeliveryOptions):
    """A pool of transactional producers."""

    name: Name
    """What `transaction(pool=...)` calls it; unique in its client."""

    base_txn_id: str = ""
    """What the transactional ids of its producers begin with; "" is random."""

    pool_size: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Transactions that may be open at once; producers are made on demand up to this number."""

    txn_timeout_ms: PositiveMilliseconds = 90_000
    """Milliseconds after which the broker aborts a transaction that was left open."""

    checkout_timeout_ms: Milliseconds = 5_000
    """Milliseconds to wait for a free producer of the pool."""


class TlsConfig(Options):
    """How to speak TLS. Files are PEM."""

    ca_file: FilePath | None = None
    """The certificate authorities to trust; None is the system's."""

    cert_file: FilePath | None = None
    """The client's own certificate (chain), for mutual TLS."""

    key_file: FilePath | None = None
    """The key of cert_file; None when it is in the same file."""

    key_password: Secret | None = None
    """The password of the key."""

    check_hostname: bool = True
    """Whether the broker's certificate must be for the host connected to."""


class SaslConfig(Options):
    """How to authenticate."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
    """The SASL mechanism, in Kafka's spelling."""

    username: str | None = None
    """For PLAIN and SCRAM."""

    password: Secret | None = None
    """For PLAIN and SCRAM."""

    token_provider: TokenProvider | None = Field(default=None, repr=False)
    """For OAUTHBEARER: called for a token whenever one is needed."""


def _tls(value: object) -> object:
    # Imported here: a program that monkey-patches after importing klife must not find `ssl` loaded by us.
    import ssl

    if isinstance(value, bool | ssl.SSLContext | TlsConfig):
        return value
    if isinstance(value, Mapping):
        return TlsConfig.model_validate(value)
    raise ValueError("the settings are ca_file, cert_file, key_file, key_password, check_hostname")


if TYPE_CHECKING:
    import ssl

    Tls = bool | TlsConfig | ssl.SSLContext
else:
    # The union is not validated by; it lets an error's path be followed into the settings.
    Tls = Annotated[
        bool | TlsConfig | Any, PlainValidator(_tls), Expected("False, True, a dict of settings, a TlsConfig or an ssl.SSLContext")
    ]
