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


# Those of librdkafka's CONFIGURATION.md (2.x) that a producer has.
LIBRDKAFKA_NAMES = """
    acks allow.auto.create.topics api.version.fallback.ms api.version.request api.version.request.timeout.ms
    background_event_cb batch.num.messages batch.size bootstrap.servers broker.address.family broker.address.ttl
    broker.version.fallback builtin.features client.dns.lookup client.id client.rack closesocket_cb compression.codec
    compression.level compression.type connect_cb connections.max.idle.ms debug default_topic_conf delivery.report.only.error
    delivery.timeout.ms dr_cb dr_msg_cb enable.gapless.guarantee enable.idempotence enable.metrics.push enable.random.seed
    enable.sasl.oauthbearer.unsecure.jwt enable.ssl.certificate.verification enabled_events error_cb https.ca.location
    https.ca.pem interceptors internal.termination.signal linger.ms log.connection.close log.queue log.thread.name log_cb
    log_level max.in.flight max.in.flight.requests.per.connection message.copy.max.bytes message.max.bytes
    message.send.max.retries message.timeout.ms metadata.broker.list metadata.max.age.ms
    metadata.recovery.rebootstrap.trigger.ms metadata.recovery.strategy msg_order_cmp oauthbearer_token_refresh_cb opaque
    open_cb partitioner partitioner_cb plugin.library.paths produce.offset.report queue.buffering.backpressure.threshold
    queue.buffering.max.kbytes queue.buffering.max.messages queue.buffering.max.ms queuing.strategy receive.message.max.bytes
    reconnect.backoff.jitter.ms reconnect.backoff.max.ms reconnect.backoff.ms request.required.acks request.timeout.ms
    resolve_cb retries retry.backoff.max.ms retry.backoff.ms sasl.kerberos.keytab sasl.kerberos.kinit.cmd
    sasl.kerberos.min.time.before.relogin sasl.kerberos.principal sasl.kerberos.service.name sasl.mechanism sasl.mechanisms
    sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.claim.aud sasl.oauthbearer.assertion.claim.exp.seconds
    sasl.oauthbearer.assertion.claim.iss sasl.oauthbearer.assertion.claim.jti.include
    sasl.oauthbearer.assertion.claim.nbf.seconds sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.file
    sasl.oauthbearer.assertion.jwt.template.file sasl.oauthbearer.assertion.private.key.file
    sasl.oauthbearer.assertion.private.key.passphrase sasl.oauthbearer.assertion.private.key.pem
    sasl.oauthbearer.client.credentials.client.id sasl.oauthbearer.client.credentials.client.secret
    sasl.oauthbearer.client.id sasl.oauthbearer.client.secret sasl.oauthbearer.config sasl.oauthbearer.extensions
    sasl.oauthbearer.grant.type sasl.oauthbearer.metadata.authentication.type sasl.oauthbearer.method sasl.oauthbearer.scope
    sasl.oauthbearer.sub.claim.name sasl.oauthbearer.token.endpoint.url sasl.password sasl.username security.protocol
    socket.blocking.max.ms socket.connection.setup.timeout.ms socket.keepalive.enable socket.max.fails socket.nagle.disable
    socket.receive.buffer.bytes socket.send.buffer.bytes socket.timeout.ms socket_cb ssl.ca.certificate.stores
    ssl.ca.location ssl.ca.pem ssl.certificate.location ssl.certificate.pem ssl.certificate.verify_cb ssl.cipher.suites
    ssl.crl.location ssl.curves.list ssl.endpoint.identification.algorithm ssl.engine.id ssl.engine.location ssl.key.location
    ssl.key.password ssl.key.pem ssl.keystore.location ssl.keystore.password ssl.providers ssl.sigalgs.list ssl_ca
    ssl_certificate ssl_engine_callback_data ssl_key statistics.interval.ms stats_cb sticky.partitioning.linger.ms
    throttle_cb topic.blacklist topic.metadata.propagation.max.ms topic.metadata.refresh.fast.cnt
    topic.metadata.refresh.fast.interval.ms topic.metadata.refresh.interval.ms topic.metadata.refresh.sparse
    transaction.timeout.ms transactional.id
"""


@pytest.mark.parametrize("name", LIBRDKAFKA_NAMES.split())
def test_no_name_of_librdkafka_s_is_unknown(name: str) -> None:
    """Each is an option, of no concern here, or has a sentence on what to do."""
    told = problems(lambda: ClientConfig.from_confluent(SERVERS | {name: "x", "linger.ms": "and this is refused"}))
    assert not [problem for problem in told if "unknown property" in problem]


def test_what_asks_for_what_klife_does_is_passed_over() -> None:
    ClientConfig.from_confluent(SERVERS | {"api.version.request": True, "broker.address.family": "any", "client.rack": "a"})
    (told,) = problems(lambda: ClientConfig.from_confluent(SERVERS | {"broker.address.family": "v4"}))
    assert told == "broker.address.family: has no equivalent in klife; all addresses of a name are tried, in turn; leave it out"


def test_how_long_a_new_topic_may_take_is_taken() -> None:
    assert ClientConfig.from_confluent(SERVERS | {"topic.metadata.propagation.max.ms": 7_000}).unknown_topic_ms == 7_000
