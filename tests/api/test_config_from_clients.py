"""Programs that come from confluent-kafka and kafka-python: what becomes of their options."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from klife import ConfigError, TopicConfig
from klife.api.config import ClientConfig

SERVERS = {"bootstrap.servers": "kafka:9092"}


def problems(build: Callable[[], object]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        build()
    return raised.value.problems


def test_librdkafka_s_defaults_hold_for_what_is_left_out() -> None:
    config = ClientConfig.from_confluent(SERVERS)
    assert config.bootstrap_servers == ("kafka:9092",)
    assert config.default_partitioner == "crc32"
    assert (config.acks, config.enable_idempotence) == ("all", False)
    assert (config.linger_ms, config.batch_size_bytes, config.delivery_timeout_ms) == (5, 1_000_000, 300_000)
    assert (config.request_timeout_ms, config.connections_max_idle_ms, config.unknown_topic_ms) == (30_000, 0, 30_000)


def test_what_is_given_is_taken() -> None:
    config = ClientConfig.from_confluent(
        SERVERS
        | {
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "max.in.flight": 1_000_000,
            "queue.buffering.max.ms": "50",
            "batch.size": 2_000_000,
            "message.max.bytes": 1_500_000,
            "compression.codec": "zstd",
            "default.topic.config": {"request.required.acks": -1, "message.timeout.ms": 60_000},
            "security.protocol": "SASL_SSL",
            "sasl.mechanisms": "PLAIN",
            "sasl.username": "user",
            "sasl.password": "secret",
        }
    )
    assert (config.default_partitioner, config.enable_idempotence, config.max_in_flight_requests) == ("murmur2", True, 5)
    assert (config.linger_ms, config.batch_size_bytes, config.compression_type) == (50, 1_500_000, "zstd")
    assert (config.acks, config.delivery_timeout_ms, config.sasl.username if config.sasl else None) == ("all", 60_000, "user")


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("error_cb", print, "klife logs it by itself"),
        ("stats_cb", print, "call client.status() when you want numbers"),
        ("on_delivery", print, "give a callback to each client.produce_async(record, callback)"),
        ("oauth_cb", print, '"token_provider": ...}, which returns (token, expires at)'),
        ("value.serializer", print, "name the topics that it is for: ClientConfig.from_confluent({...}, topics=['orders', ...])"),
        ("key.serializer.builder", print, "build the serializer yourself, and give that as key.serializer"),
        ("transactional.id", "t", "transactional producers come in pools"),
        ("retries", 5, "a record is retried until its delivery_timeout_ms"),
        ("partitioner", "fnv1a_random", "give a klife.Partitioner as default_partitioner"),
        ("linger.mss", 5, "did you mean linger.ms?"),
    ],
)
def test_what_is_done_otherwise_here_is_answered_by_what_to_do(option: str, value: object, says: str) -> None:
    [problem] = problems(lambda: ClientConfig.from_confluent(SERVERS | {option: value}))
    assert problem.startswith(f"{option}: ")
    assert says in problem


def test_a_serializing_producer_s_serializers_are_those_of_the_topics_it_is_given() -> None:
    serializing = {"key.serializer": str.encode, "value.serializer": repr}
    own = TopicConfig(name="own", value_serializer=ascii)
    config = ClientConfig.from_confluent(SERVERS | serializing, topics=["orders", own, {"name": "plain", "key_serializer": None}])
    assert [(topic.name, topic.key_serializer, topic.value_serializer) for topic in config.topics] == [
        ("orders", str.encode, repr),
        ("own", str.encode, ascii),
        ("plain", None, repr),
    ]
    assert ClientConfig.from_confluent(SERVERS, topics=["orders"]).topics == (TopicConfig(name="orders"),)
    wrong: Any = "orders"
    assert "topics: got str 'orders', expected a list" in problems(lambda: ClientConfig.from_confluent(SERVERS, topics=wrong))[0]
    assert "it is a class" in problems(lambda: ClientConfig.from_confluent(SERVERS | {"value.serializer": bytes}, topics=["orders"]))[0]
    assert "topics[0]: got int, expected a dict" in problems(lambda: ClientConfig.from_confluent(SERVERS, topics=[wrong and 7]))[0]


def test_what_is_no_dict_is_refused() -> None:
    wrong: Any = "kafka:9092"
    assert "expected confluent-kafka's dict" in problems(lambda: ClientConfig.from_confluent(wrong))[0]


@pytest.mark.parametrize("partitioner", ["consistent", "murmur2"])
def test_a_warning_tells_that_records_without_a_key_are_spread_here(partitioner: str) -> None:
    with pytest.warns(UserWarning, match=f'to one partition with librdkafka\'s partitioner "{partitioner}"'):
        ClientConfig.from_confluent(SERVERS | {"partitioner": partitioner})


def test_properties_of_librdkafka_without_a_partitioner_are_warned_of_keys_that_move() -> None:
    with pytest.warns(UserWarning, match="keys will move to other partitions"):
        ClientConfig.from_properties(SERVERS | {"message.timeout.ms": 60_000})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ClientConfig.from_properties(SERVERS | {"message.timeout.ms": 60_000, "partitioner": "consistent_random"})
        ClientConfig.from_properties(SERVERS | {"delivery.timeout.ms": 60_000})
        ClientConfig.from_confluent(SERVERS)


def test_kafka_python_s_defaults_are_those_it_has() -> None:
    from kafka import KafkaProducer

    theirs: dict[str, Any] = KafkaProducer.DEFAULT_CONFIG
    config = ClientConfig.from_kafka_python()
    assert config.bootstrap_servers == ("localhost:9092",)
    for name in (
        *("enable_idempotence", "delivery_timeout_ms", "linger_ms", "connections_max_idle_ms", "max_block_ms", "metadata_max_age_ms"),
        *("retry_backoff_ms", "request_timeout_ms", "reconnect_backoff_ms", "reconnect_backoff_max_ms", "allow_auto_create_topics"),
    ):
        assert getattr(config, name) == theirs[name], name
    assert config.batch_size_bytes == theirs["max_request_size"]
    assert config.max_in_flight_requests == theirs["max_in_flight_requests_per_connection"]
    assert config.max_response_bytes == theirs["receive_message_max_bytes"]
    assert (config.acks, config.default_partitioner) == ("all", "murmur2")
    elsewhere = ("retries", "partitioner", "socket_options", "sasl_kerberos_service_name", "metric_reporters")
    given = {name: value for name, value in theirs.items() if name not in elsewhere}
    ClientConfig.from_kafka_python(**given | {"bootstrap_servers": "kafka:9092"})


def test_kafka_python_s_security_is_understood() -> None:
    config = ClientConfig.from_kafka_python(
        bootstrap_servers=["kafka:9092"],
        acks=1,
        batch_size=16384,
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-256",
        sasl_plain_username="user",
        sasl_plain_password="secret",
        ssl_check_hostname=False,
    )
    assert config.acks == 1
    assert not config.enable_idempotence
    assert config.sasl is not None
    assert config.sasl.mechanism == "SCRAM-SHA-256"
    context = ssl.create_default_context()
    assert ClientConfig.from_kafka_python(security_protocol="SSL", ssl_context=context).tls is context


def test_a_token_provider_of_kafka_python_s_is_called_for_tokens() -> None:
    class Provider:
        def token(self) -> str:
            return "token"

    config = ClientConfig.from_kafka_python(
        security_protocol="SASL_PLAINTEXT", sasl_mechanism="OAUTHBEARER", sasl_oauth_token_provider=Provider()
    )
    assert config.sasl is not None
    assert config.sasl.token_provider is not None
    assert config.sasl.token_provider() == "token"


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("value_serializer", bytes, "topics=[TopicConfig(name=..., value_serializer=...)]"),
        ("partitioner", max, "give default_partitioner, a klife.Partitioner"),
        ("transactional_id", "t", "transactional producers come in pools"),
        ("ssl_crlfile", "f", "make an ssl.SSLContext"),
        ("lingerms", 5, "did you mean linger_ms?"),
    ],
)
def test_keywords_without_an_equivalent_are_answered_too(option: str, value: object, says: str) -> None:
    [problem] = problems(lambda: ClientConfig.from_kafka_python(**{option: value}))
    assert problem.startswith(f"{option}: ")
    assert says in problem


def test_a_delivery_timeout_that_is_shorter_than_the_default_of_a_request_is_taken_by_itself() -> None:
    confluent = ClientConfig.from_confluent({"bootstrap.servers": "localhost:9092", "message.timeout.ms": 10_000})
    assert (confluent.delivery_timeout_ms, confluent.request_timeout_ms) == (10_000, 9_995)
    kafka_python = ClientConfig.from_kafka_python(delivery_timeout_ms=10_000, linger_ms=20)
    assert (kafka_python.delivery_timeout_ms, kafka_python.request_timeout_ms) == (10_000, 9_980)
    with pytest.raises(ConfigError, match=r"delivery_timeout_ms \(10000\) is less than"):  # where both are given
        ClientConfig.from_kafka_python(delivery_timeout_ms=10_000, request_timeout_ms=10_001)
