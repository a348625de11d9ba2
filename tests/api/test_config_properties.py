"""`ClientConfig.from_properties`: Java's and librdkafka's dotted names."""

from __future__ import annotations

from typing import Any

import pytest

from klife.api.config import ClientConfig
from klife.api.config.kafka_names import NO_EQUIVALENT, kafka_names
from klife.errors import ConfigError

BROKER = {"bootstrap.servers": "localhost:9092"}


def problems(properties: dict[Any, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        ClientConfig.from_properties(BROKER | properties)
    return list(caught.value.problems)


READ: list[tuple[str, Any, str, Any]] = [
    ("client.id", "orders", "client_id", "orders"),
    ("metadata.max.age.ms", "1000", "metadata_max_age_ms", 1_000),
    ("topic.metadata.refresh.interval.ms", 1_000, "metadata_max_age_ms", 1_000),
    ("buffer.memory", "67108864", "max_buffered_bytes", 67_108_864),
    ("queue.buffering.max.kbytes", "1024", "max_buffered_bytes", 1_048_576),
    ("queue.buffering.max.kbytes", 1024, "max_buffered_bytes", 1_048_576),
    ("max.block.ms", "0", "max_block_ms", 0),
    ("reconnect.backoff.ms", "60", "reconnect_backoff_ms", 60),
    ("reconnect.backoff.max.ms", "60", "reconnect_backoff_max_ms", 60),
    ("socket.connection.setup.timeout.ms", "60", "connect_timeout_ms", 60),
    ("receive.message.max.bytes", "1000", "max_response_bytes", 1_000),
    ("acks", "all", "acks", "all"),
    ("acks", "-1", "acks", "all"),
    ("acks", -1, "acks", "all"),
    ("request.required.acks", "all", "acks", "all"),
    ("linger.ms", 5, "linger_ms", 5),
    ("linger.ms", " 5 ", "linger_ms", 5),
    ("queue.buffering.max.ms", "5", "linger_ms", 5),
    ("batch.size", "16384", "batch_size_bytes", 16_384),
    ("delivery.timeout.ms", "120000", "delivery_timeout_ms", 120_000),
    ("message.timeout.ms", "120000", "delivery_timeout_ms", 120_000),
    ("request.timeout.ms", "30000", "request_timeout_ms", 30_000),
    ("retry.backoff.ms", "200", "retry_backoff_ms", 200),
    ("retry.backoff.max.ms", "200", "retry_backoff_max_ms", 200),
    ("max.in.flight.requests.per.connection", "5", "max_in_flight_requests", 5),
    ("max.in.flight", 5, "max_in_flight_requests", 5),
    ("enable.idempotence", "false", "enable_idempotence", False),
    ("enable.idempotence", "TRUE", "enable_idempotence", True),
    ("enable.idempotence", False, "enable_idempotence", False),
    ("compression.type", "zstd", "compression_type", "zstd"),
    ("compression.codec", "lz4", "compression_type", "lz4"),
    ("compression.level", "-1", "compression_level", None),
    ("partitioner", "murmur2_random", "default_partitioner", "murmur2"),
    ("partitioner", "consistent_random", "default_partitioner", "crc32"),
    ("partitioner", "consistent", "default_partitioner", "crc32"),
    ("partitioner", "random", "default_partitioner", "random"),
]


@pytest.mark.parametrize(("name", "value", "option", "read"), READ)
def test_a_dotted_name_typed_or_as_text_sets_its_option(name: str, value: Any, option: str, read: Any) -> None:
    got = getattr(ClientConfig.from_properties(BROKER | {name: value}), option)
    assert (got, type(got)) == (read, type(read))


def test_every_known_name_stands_for_an_option_there_is() -> None:
    names = kafka_names(ClientConfig)
    assert {known.option for known in names.values()} <= set(ClientConfig.model_fields)
    assert not names.keys() & NO_EQUIVALENT.keys()


def test_both_names_of_the_bootstrap_servers_are_taken() -> None:
    for name in ("bootstrap.servers", "metadata.broker.list"):
        assert ClientConfig.from_properties({name: "a:1,b:2"}).bootstrap_servers == ("a:1", "b:2")


def test_weaker_acks_come_through_with_idempotence_off() -> None:
    for text, acks in (("1", 1), ("0", 0)):
        assert ClientConfig.from_properties(BROKER | {"acks": text, "enable.idempotence": "false"}).acks == acks


def test_javas_level_of_a_codec_counts_when_that_codec_is_used() -> None:
    levels = {"compression.gzip.level": "9", "compression.zstd.level": "3"}
    assert ClientConfig.from_properties(BROKER | levels | {"compression.type": "zstd"}).compression_level == 3
    assert ClientConfig.from_properties(BROKER | levels | {"compression.type": "gzip"}).compression_level == 9
    assert ClientConfig.from_properties(BROKER | levels).compression_level is None


def test_options_without_a_dotted_name_are_given_over_it() -> None:
    config = ClientConfig.build(ClientConfig.from_properties(BROKER | {"linger.ms": "5"}), producers=[{"name": "a"}])
    assert [producer.linger_ms for producer in config.resolved_producers] == [5, 5]


def test_plaintext_is_the_protocol_there_is() -> None:
    for value in ("PLAINTEXT", "plaintext"):
        assert ClientConfig.from_properties(BROKER | {"security.protocol": value}).tls is False


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        ({"security.protocol": "TLS"}, [["security.protocol", "'TLS'", "PLAINTEXT, SSL"]]),
        ({"linger.ms": "soon"}, [["linger_ms (given as linger.ms)", "str 'soon'", "int from 0"]]),
        ({"linger.ms": 0.5}, [["linger_ms (given as linger.ms)", "float 0.5", "int"]]),
        ({"queue.buffering.max.kbytes": "much"}, [["max_buffered_bytes (given as queue.buffering.max.kbytes)", "str 'much'"]]),
        ({"enable.idempotence": "yes"}, [["enable_idempotence (given as enable.idempotence)", "str 'yes'", "True or False"]]),
        ({"acks": "2"}, [["acks: got int 2", "'all', 1, 0"]]),
        ({"compression.type": "inherit"}, [["compression_type (given as compression.type)", "'inherit'", "'zstd'"]]),
        ({"partitioner": "fnv1a"}, [["default_partitioner (given as partitioner)", "'fnv1a'", "'crc32'"]]),
        ({"linger.ms": 5, "queue.buffering.max.ms": 5}, [["queue.buffering.max.ms", "same as linger.ms", "leave one"]]),
        ({"liger.ms": 5}, [["liger.ms", "unknown property", "did you mean linger.ms?"]]),
        ({"Linger.ms": 5}, [["Linger.ms", "did you mean linger.ms?"]]),
        ({"max.inflight": 5}, [["max.inflight", "did you mean max.in.flight?"]]),
        ({"security.protocl": "SSL"}, [["security.protocl", "did you mean security.protocol?"]]),
        ({"zzz": 5}, [["zzz", "unknown property", "known ones"]]),
        ({"linger_ms": 5}, [["linger_ms", "klife's own name", "ClientConfig.build", "linger_ms=..."]]),
        ({"transactional.id": "x"}, [["transactional.id", "no equivalent", "txn_pools"]]),
        ({"key.serializer": "x"}, [["key.serializer", "no equivalent", "bytes"]]),
        ({"partitioner.class": "x"}, [["partitioner.class", "no equivalent", "default_partitioner"]]),
        ({"retries": 5}, [["retries", "no equivalent", "delivery.timeout.ms"]]),
        ({"group.id": "x"}, [["group.id", "no equivalent", "consumer"]]),
        ({5: 5}, [["int", "expected str"]]),
    ],
    ids=repr,
)
def test_what_cannot_be_taken_says_why_and_what_to_do(properties: dict[Any, Any], says: list[list[str]]) -> None:
    found = problems(properties)
    assert len(found) == len(says), found
    for problem, parts in zip(found, says, strict=True):
        for part in parts:
            assert part in problem


def test_everything_wrong_comes_in_one_error_unknown_names_and_cross_checks_included() -> None:
    found = problems({"liger.ms": 5, "retries": 3, "acks": "1", "enable.idempotence": "true", "request.timeout.ms": "soon"})
    assert sorted(line.split(" ")[0].rstrip(":") for line in found) == ["acks", "liger.ms", "request_timeout_ms", "retries"]


def test_a_password_is_never_in_the_error() -> None:
    found = problems({"sasl.password": "hunter2", "sasl.pasword": "hunter2", "ssl.key.password": "hunter2", "pass": "hunter2"})
    assert "hunter2" not in "\n".join(found)


# Those that Java's producer has (Kafka 4.x, ProducerConfig and what it takes in).
JAVA_NAMES = """
    acks auto.include.jmx.reporter batch.size bootstrap.servers buffer.memory client.dns.lookup client.id
    compression.gzip.level compression.lz4.level compression.type compression.zstd.level config.providers
    connections.max.idle.ms delivery.timeout.ms enable.idempotence enable.metrics.push interceptor.classes key.serializer
    linger.ms max.block.ms max.in.flight.requests.per.connection max.request.size metadata.max.age.ms metadata.max.idle.ms
    metadata.recovery.rebootstrap.trigger.ms metadata.recovery.strategy metric.reporters metrics.num.samples
    metrics.recording.level metrics.sample.window.ms partitioner.adaptive.partitioning.enable
    partitioner.availability.timeout.ms partitioner.class partitioner.ignore.keys receive.buffer.bytes
    reconnect.backoff.max.ms reconnect.backoff.ms request.timeout.ms retries retry.backoff.max.ms retry.backoff.ms
    sasl.client.callback.handler.class sasl.jaas.config sasl.kerberos.kinit.cmd sasl.kerberos.min.time.before.relogin
    sasl.kerberos.service.name sasl.kerberos.ticket.renew.jitter sasl.kerberos.ticket.renew.window.factor
    sasl.login.callback.handler.class sasl.login.class sasl.login.connect.timeout.ms sasl.login.read.timeout.ms
    sasl.login.refresh.buffer.seconds sasl.login.refresh.min.period.seconds sasl.login.refresh.window.factor
    sasl.login.refresh.window.jitter sasl.login.retry.backoff.max.ms sasl.login.retry.backoff.ms sasl.mechanism
    sasl.oauthbearer.client.credentials.client.id sasl.oauthbearer.client.credentials.client.secret
    sasl.oauthbearer.clock.skew.seconds sasl.oauthbearer.expected.audience sasl.oauthbearer.expected.issuer
    sasl.oauthbearer.header.urlencode sasl.oauthbearer.jwks.endpoint.refresh.ms
    sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms sasl.oauthbearer.jwks.endpoint.retry.backoff.ms
    sasl.oauthbearer.jwks.endpoint.url sasl.oauthbearer.jwt.retriever.class sasl.oauthbearer.jwt.validator.class
    sasl.oauthbearer.scope sasl.oauthbearer.scope.claim.name sasl.oauthbearer.sub.claim.name
    sasl.oauthbearer.token.endpoint.url security.protocol security.providers send.buffer.bytes
    socket.connection.setup.timeout.max.ms socket.connection.setup.timeout.ms ssl.cipher.suites ssl.enabled.protocols
    ssl.endpoint.identification.algorithm ssl.engine.factory.class ssl.key.password ssl.keymanager.algorithm
    ssl.keystore.certificate.chain ssl.keystore.key ssl.keystore.location ssl.keystore.password ssl.keystore.type
    ssl.protocol ssl.provider ssl.secure.random.implementation ssl.trustmanager.algorithm ssl.truststore.certificates
    ssl.truststore.location ssl.truststore.password ssl.truststore.type transaction.timeout.ms
    transaction.two.phase.commit.enable transactional.id value.serializer
"""


@pytest.mark.parametrize("name", JAVA_NAMES.split())
def test_no_name_of_java_s_producer_is_unknown(name: str) -> None:
    """Each is an option, of no concern here, or has a sentence on what to do."""
    with pytest.raises(ConfigError) as raised:
        ClientConfig.from_properties({"bootstrap.servers": "kafka:9092", name: "x", "linger.ms": "and this is refused"})
    assert not [problem for problem in raised.value.problems if "unknown property" in problem]
