"""From a user's configuration to what the actors work with: milliseconds to seconds, names to Kafka's numbers. Once, at start."""

from __future__ import annotations

from klife.actors.settings import ClientSettings, ConnectionSettings, ProducerSettings
from klife.api.config import ClientConfig, ProducerConfig
from klife.protocol.compression import CODECS, compress, quick_size

_ACKS = {"all": -1, 1: 1, 0: 0}


def client_settings(config: ClientConfig, name: str) -> ClientSettings:
    """The settings of a client called `name`."""
    named = ClientConfig.build(config, name=name)
    return ClientSettings(
        name=name,
        bootstrap=named.bootstrap_addresses,
        producers=tuple(_producer(producer) for producer in named.resolved_producers),
        default_producer=named.default_producer_name,
        connection=ConnectionSettings(
            connect_timeout=named.connect_timeout_ms / 1000,
            request_timeout=named.request_timeout_ms / 1000,
            reconnect_backoff=named.reconnect_backoff_ms / 1000,
            reconnect_backoff_max=named.reconnect_backoff_max_ms / 1000,
            max_response_bytes=named.max_response_bytes,
            socket_options=named.socket_options,
        ),
        metadata_max_age=named.metadata_max_age_ms / 1000,
        max_buffered_bytes=named.max_buffered_bytes,
        block_on_full=named.on_buffer_full == "block",
        max_block=named.max_block_ms / 1000,
        default_partitioner=named.default_partitioner,
        topic_producers={topic.name: topic.default_producer for topic in named.topics if topic.default_producer is not None},
        topic_partitioners={topic.name: topic.default_partitioner for topic in named.topics if topic.default_partitioner is not None},
        prefetched_topics=tuple(topic.name for topic in named.topics),
        restart_after_fork=named.on_fork == "restart",
    )


def _producer(config: ProducerConfig) -> ProducerSettings:
    codec = CODECS[config.compression_type]
    compress(codec, b"")  # loads the codec's library now, and not in the hub, with the first record
    return ProducerSettings(
        name=config.name,
        client_id=config.client_id,
        acks=_ACKS[config.acks],
        linger=config.linger_ms / 1000,
        batch_size_bytes=config.batch_size_bytes,
        delivery_timeout=config.delivery_timeout_ms / 1000,
        request_timeout=config.request_timeout_ms / 1000,
        retry_backoff=config.retry_backoff_ms / 1000,
        retry_backoff_max=config.retry_backoff_max_ms / 1000,
        max_in_flight=config.max_in_flight_requests,
        batchers_count=config.batchers_count,
        idempotent=config.enable_idempotence,
        codec=codec,
        compression_level=config.compression_level,
        compress_elsewhere_from=quick_size(codec, config.compression_level),
    )
