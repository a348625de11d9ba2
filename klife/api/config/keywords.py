"""The options as keywords, for type checkers and editors: what `Client.start(...)` completes and checks.

A type checker can not make these from the table of options, so they are written out; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from klife.api.config.option_types import CompressionType, Feature, PartitionerName
from klife.api.config.options import ProducerConfig, SaslConfig, TlsConfig, TopicConfig, TxnPoolConfig
from klife.api.config.security_keywords import SaslKeywords, TlsKeywords
from klife.hooks import Hooks
from klife.partitioner import Partitioner

if TYPE_CHECKING:
    import ssl


class ProducerKeywords(TypedDict, total=False):
    """A producer's options but its name."""

    client_id: str
    acks: Literal["all", -1, 0, 1]
    linger_ms: int
    batch_size_bytes: int
    max_in_flight_requests: int
    batchers_count: int
    enable_idempotence: bool
    delivery_timeout_ms: int
    request_timeout_ms: int
    retry_backoff_ms: int
    retry_backoff_max_ms: int
    compression_type: CompressionType
    compression_level: int | None


class ClientKeywords(ProducerKeywords, total=False):
    """A client's options. Those of a producer are the defaults of all its producers."""

    bootstrap_servers: str | Sequence[str]
    name: str | None
    producers: Sequence[ProducerConfig | Mapping[str, Any]]
    default_producer: str | None
    topics: Sequence[TopicConfig | Mapping[str, Any]]
    default_partitioner: PartitionerName | Partitioner | type[Partitioner]
    txn_pools: Sequence[TxnPoolConfig | Mapping[str, Any]]
    default_txn_pool: str | None
    disabled_features: Sequence[Feature] | AbstractSet[Feature]
    metadata_max_age_ms: int
    allow_auto_create_topics: bool
    unknown_topic_ms: int
    max_buffered_bytes: int
    on_buffer_full: Literal["block", "raise"]
    max_block_ms: int
    hooks: Sequence[Hooks | type[Hooks]]
    on_fork: Literal["restart", "raise"]
    run_in: Literal["home", "thread"]
    tls: bool | TlsConfig | TlsKeywords | Mapping[str, Any] | ssl.SSLContext
    sasl: SaslConfig | SaslKeywords | Mapping[str, Any] | None
    connect_timeout_ms: int
    socket_options: Sequence[tuple[int, int, int | bytes]]
    connections_max_idle_ms: int
    reconnect_backoff_ms: int
    reconnect_backoff_max_ms: int
    max_response_bytes: int
