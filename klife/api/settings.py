"""From a user's configuration to what the actors work with: milliseconds to seconds, names to Kafka's numbers. Once, at start."""

from __future__ import annotations

from klife.actors.settings import ClientSettings, ConnectionSettings, ProducerSettings
from klife.api.config import ClientConfig, ProducerConfig
from klife.protocol.compression import CODECS

_NEVER = float("inf")
_ACKS = {"all": -1, 1: 1, 0: 0}


def client_settings(config: ClientConfig, name: str) -> ClientSettings:
    """The settings of a client that this process calls `name`.

    What brokers see is made of the configured name: quotas and metrics must not take each start for a new client.
    """
    return ClientSettings(
        name=name,
        bootstrap=config.bootstrap_addresses,
        producers=tuple(_producer(producer) for producer in config.resolved_producers),
        default_producer=config.default_producer_name,
        connection=ConnectionSettings(
            connect_timeout=config.connect_timeout_ms / 1000,
            request_timeout=config.request_timeout_ms / 1000,
            reconnect_backoff=config.reconnect_backoff_ms / 1000,
            reconnect_backoff_max=config.reconnect_backoff_max_ms / 1000,
            max_response_bytes=config.max_response_bytes,
            socket_options=config.socket_options,
            max_idle=config.connections_max_idle_ms / 1000 or _NEVER,
        ),
        metadata_max_age=config.metadata_max_age_ms / 1000,
        max_buffered_bytes=config.max_buffered_bytes,
        block_on_full=config.on_buffer_full == "block",
        max_block=config.max_block_ms / 1000,
        default_partitioner=config.default_partitioner,
        topic_producers={topic.name: topic.default_producer for topic in config.topics if topic.default_producer is not None},
        topic_partitioners={topic.name: topic.default_partitioner for topic in config.topics if topic.default_partitioner is not None},
        prefetched_topics=tuple(topic.name for topic in config.topics),
        restart_after_fork=config.on_fork == "restart",
        client_id="klife" if config.name is None else f"klife.{config.name}",
    )


def _producer(config: ProducerConfig) -> ProducerSettings:
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
        codec=CODECS[config.compression_type],
        compression_level=config.compression_level,
    )
