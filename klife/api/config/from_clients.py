"""Other clients' configurations, with the defaults that those clients have: confluent-kafka's dict, and
kafka-python's keywords.

A program that moves here keeps what it sees of its records: partitions of keys, acknowledgements, timeouts.
How they travel is klife's own. Serializers are given to the topics that they are for. What is a matter of the
program (callbacks) is answered by what to do about it here. The defaults are those of librdkafka's
CONFIGURATION.md (2.x) and of kafka-python 3.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from klife.api.config.kafka_names import NO_EQUIVALENT
from klife.api.config.options import TopicConfig
from klife.api.config.properties import PropertiesReader
from klife.api.config.words import describe, suggest

if TYPE_CHECKING:
    from pydantic import BaseModel

# One request of librdkafka's has one batch, so its bound of a batch is klife's of a request.
LIBRDKAFKA_DEFAULTS: Final[dict[str, Any]] = {
    "default_partitioner": "crc32",  # consistent_random
    "acks": "all",
    "enable_idempotence": False,
    "linger_ms": 5,
    "batch_size_bytes": 1_000_000,  # batch.size, and message.max.bytes
    "delivery_timeout_ms": 300_000,  # message.timeout.ms
    "request_timeout_ms": 30_000,
    "unknown_topic_ms": 30_000,  # topic.metadata.propagation.max.ms
    "connect_timeout_ms": 30_000,
    "connections_max_idle_ms": 0,
    "reconnect_backoff_ms": 100,
    "max_response_bytes": 100_000_000,
}

KAFKA_PYTHON_DEFAULTS: Final[dict[str, Any]] = {
    "bootstrap_servers": "localhost:9092",
    "batch_size_bytes": 1_048_576,  # max_request_size
    "delivery_timeout_ms": 120_000,
    "request_timeout_ms": 30_000,
    "max_in_flight_requests": 5,
    "reconnect_backoff_max_ms": 30_000,
    "max_response_bytes": 100_000_000,
}

_SERIALIZERS = "give it to the topics that it is for: ClientConfig.build(config, topics=[TopicConfig(name=..., {option}=...)])"
_BUILDER = "build the serializer yourself, and give that as {option}"
_LOGGED = "klife logs it by itself, and `client.status()` has the last error of each broker; leave it out"
_CALLBACKS: Final[dict[str, str]] = {
    "error_cb": _LOGGED,
    "throttle_cb": _LOGGED,
    "log_cb": "klife logs through `logging` (`klife.*`), or a configured structlog; set it up there, and leave this out",
    "logger": "klife logs through `logging` (`klife.*`), or a configured structlog; set it up there, and leave this out",
    "stats_cb": "call client.status() when you want numbers; leave it out",
    "on_delivery": "give a callback to each client.produce_async(record, callback), or wait for client.produce(record).get()",
    "oauth_cb": 'give sasl={"mechanism": "OAUTHBEARER", "token_provider": ...}, which returns (token, expires at)',
    "partitioner_cb": "give a klife.Partitioner as default_partitioner",
    "queue.buffering.max.messages": "what waits is bounded in bytes: set queue.buffering.max.kbytes, or leave it out",
    "socket.max.fails": "a connection is closed when a request times out; leave it out",
    "key.serializer.builder": _BUILDER.format(option="key.serializer"),
    "value.serializer.builder": _BUILDER.format(option="value.serializer"),
}
_TO_TOPICS: Final = {"key.serializer": "key_serializer", "value.serializer": "value_serializer"}
_SPREAD_KEYLESS = {
    "consistent": 'records without a key go to one partition with librdkafka\'s partitioner "consistent", and are spread here; those '
    "with keys stay where they are",
    "murmur2": 'records without a key go to one partition with librdkafka\'s partitioner "murmur2", and stick to one per batch here; '
    "those with keys stay where they are",
}
_MOST_IN_FLIGHT = 1_000  # what max_in_flight_requests takes; librdkafka's default is a million
_IDEMPOTENT_IN_FLIGHT = 5

MURMUR2_INSTEAD = (
    "keys will move to other partitions: these are librdkafka's names, whose default partitioner hashes keys by crc32, and klife's by "
    'murmur2, as Java. Give "partitioner": "consistent_random" to keep the partitions (ClientConfig.from_confluent does), or '
    '"murmur2_random" if they are to move'
)
"""The warning of `from_properties`."""
_OF_LIBRDKAFKA = frozenset(
    (
        *("metadata.broker.list", "queue.buffering.max.ms", "queue.buffering.max.kbytes", "message.timeout.ms"),
        *("request.required.acks", "compression.codec", "sasl.mechanisms", "sasl.username", "sasl.password", "max.in.flight"),
        "topic.metadata.refresh.interval.ms",
    )
)


def keys_move(properties: Mapping[str, Any]) -> bool:
    """Whether `properties` are a program's whose keys librdkafka places, and say nothing of a partitioner."""
    return "partitioner" not in properties and not _OF_LIBRDKAFKA.isdisjoint(properties)


class ConfluentReader(PropertiesReader):
    """Turns confluent-kafka's dict into options, librdkafka's defaults included. `warnings` are of what will
    change all the same.
    """

    def __init__(self, model: type[BaseModel], topics: Sequence[str | TopicConfig | Mapping[str, Any]] = ()) -> None:
        super().__init__(model)
        self.warnings: list[str] = []
        self._topics = topics

    def read(self, properties: Mapping[str, Any]) -> None:
        given = dict(properties)
        given |= given.pop("default.topic.config", None) or {}
        most = given.pop("message.max.bytes", None)
        serializers = {option: given.pop(name, None) for name, option in _TO_TOPICS.items()}
        for name in [name for name in given if name in _CALLBACKS]:
            self.problems.append(f"{name}: has no equivalent in klife; {_CALLBACKS[name]}")
            del given[name]
        partitioner = given.get("partitioner")
        if isinstance(partitioner, str) and partitioner.startswith("fnv1a"):
            self.problems.append(f"partitioner: klife has no {partitioner!r}; give a klife.Partitioner as default_partitioner")
            del given["partitioner"]
        elif partitioner in _SPREAD_KEYLESS:
            self.warnings.append(_SPREAD_KEYLESS[partitioner])
        super().read(given)
        self._give_to_topics(serializers)
        in_flight = self.options.get("max_in_flight_requests")
        options = LIBRDKAFKA_DEFAULTS | self.options
        if type(in_flight) is int:
            options["max_in_flight_requests"] = min(
                in_flight, _IDEMPOTENT_IN_FLIGHT if options["enable_idempotence"] is True else _MOST_IN_FLIGHT
            )
        if type(most) is int and type(options["batch_size_bytes"]) is int:
            options["batch_size_bytes"] = min(options["batch_size_bytes"], most)
        self.options: dict[str, Any] = _fitted(options, self.options)

    def _give_to_topics(self, serializers: Mapping[str, Any]) -> None:
        """Those of the whole producer are each topic's here, unless it has one of its own."""
        given = {option: serializer for option, serializer in serializers.items() if serializer is not None}
        if not isinstance(self._topics, list | tuple):
            self.options["topics"] = self._topics  # which is refused, in words
        elif self._topics:
            self.options["topics"] = [topic if (options := _as_options(topic)) is None else given | options for topic in self._topics]
        else:
            self.problems.extend(
                f"{name}: serializers are those of topics here; name the topics that it is for: "
                "ClientConfig.from_confluent({...}, topics=['orders', ...])"
                for name, option in _TO_TOPICS.items()
                if option in given
            )


def _as_options(topic: object) -> dict[str, Any] | None:
    match topic:
        case str():
            return {"name": topic}
        case TopicConfig():
            return {option: getattr(topic, option) for option in topic.model_fields_set}
        case Mapping():
            return dict(topic)
    return None


_DOTTED: Final[dict[str, str]] = {
    **{
        name: name.replace("_", ".")
        for name in (
            *("client_id", "enable_idempotence", "delivery_timeout_ms", "acks", "compression_type", "linger_ms"),
            *("connections_max_idle_ms", "max_block_ms", "allow_auto_create_topics", "metadata_max_age_ms", "retry_backoff_ms"),
            *("request_timeout_ms", "reconnect_backoff_ms", "reconnect_backoff_max_ms", "receive_message_max_bytes", "buffer_memory"),
            *("security_protocol", "sasl_mechanism", "bootstrap_servers", "max_in_flight_requests_per_connection"),
        )
    },
    "ssl_cafile": "ssl.ca.location",
    "ssl_certfile": "ssl.certificate.location",
    "ssl_keyfile": "ssl.key.location",
    "ssl_password": "ssl.key.password",
    "sasl_plain_username": "sasl.username",
    "sasl_plain_password": "sasl.password",
}
_OF_NO_CONCERN = frozenset(
    (
        *("batch_size", "api_version", "client_dns_lookup", "metrics_enabled", "metrics_num_samples", "metrics_sample_window_ms"),
        *("transaction_timeout_ms", "selector", "kafka_client", "bootstrap_timeout_ms", "api_version_auto_timeout_ms"),
    )
)
_CONTEXT = "make an ssl.SSLContext that is so, and give it as ssl_context"
_KERBEROS = "klife has no Kerberos; use another of the mechanisms your brokers offer"
_OF_KAFKA_PYTHON: Final[dict[str, str]] = {
    "key_serializer": _SERIALIZERS.format(option="key_serializer"),
    "value_serializer": _SERIALIZERS.format(option="value_serializer"),
    "partitioner": "give default_partitioner, a klife.Partitioner with partition(record, partition_count); the default is the same, "
    "murmur2",
    "retries": "a record is retried until its delivery_timeout_ms; leave it out",
    "transactional_id": NO_EQUIVALENT["transactional.id"],
    "metric_reporters": NO_EQUIVALENT["metric.reporters"],
    "receive_buffer_bytes": NO_EQUIVALENT["receive.buffer.bytes"],
    "send_buffer_bytes": NO_EQUIVALENT["send.buffer.bytes"],
    "ssl_crlfile": _CONTEXT,
    "ssl_ciphers": _CONTEXT,
    "sasl_kerberos_name": _KERBEROS,
    "sasl_kerberos_service_name": _KERBEROS,
    "sasl_kerberos_domain_name": _KERBEROS,
    "proxy_url": "klife connects without a proxy; leave it out",
    "socks5_proxy": "klife connects without a proxy; leave it out",
}


class KafkaPythonReader(PropertiesReader):
    """Turns the keywords of kafka-python's KafkaProducer into options, its defaults included."""

    def read(self, properties: Mapping[str, Any]) -> None:
        given = {name: value for name, value in properties.items() if name not in _OF_NO_CONCERN}
        options: dict[str, Any] = {}
        dotted: dict[str, Any] = {}
        for name in ("socket_options", "max_request_size"):
            if name in given:
                options["batch_size_bytes" if name == "max_request_size" else name] = given.pop(name)
        context, provider = given.pop("ssl_context", None), given.pop("sasl_oauth_token_provider", None)
        if given.pop("ssl_check_hostname", True) is False:
            dotted["ssl.endpoint.identification.algorithm"] = "none"
        for name, value in given.items():
            if name in _DOTTED:
                if value is not None:
                    dotted[_DOTTED[name]] = value
            elif name in _OF_KAFKA_PYTHON:
                if value is not None:
                    self.problems.append(f"{name}: has no equivalent in klife; {_OF_KAFKA_PYTHON[name]}")
            else:
                meant = suggest(name, [*_DOTTED, *_OF_KAFKA_PYTHON, *_OF_NO_CONCERN])
                self.problems.append(f"{name}: unknown option of KafkaProducer" + (f"; did you mean {meant}?" if meant else ""))
        protocol = dotted.get("security.protocol")
        if context is not None and isinstance(protocol, str) and "SSL" in protocol:
            options["tls"] = context
            dotted["security.protocol"] = {"SSL": "PLAINTEXT", "SASL_SSL": "SASL_PLAINTEXT"}.get(protocol, protocol)
        if provider is not None:
            options["sasl"] = {"mechanism": dotted.pop("sasl.mechanism", "OAUTHBEARER"), "token_provider": provider.token}
            dotted["security.protocol"] = "SSL" if protocol == "SASL_SSL" and context is None else "PLAINTEXT"
        super().read(dotted)
        options = self.options | options
        self.options: dict[str, Any] = _fitted(KAFKA_PYTHON_DEFAULTS | options, options)
        if self.options.get("acks") not in (None, "all", -1):
            self.options.setdefault("enable_idempotence", False)


def _fitted(options: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`options` with a default request_timeout_ms that fits into the delivery_timeout_ms that was given: both
    clients take a shorter one by itself, and let no request outlast it.
    """
    delivery, linger = options["delivery_timeout_ms"], options.get("linger_ms", 0)
    if "request_timeout_ms" not in given and type(delivery) is int and type(linger) is int and delivery > linger:
        return options | {"request_timeout_ms": min(options["request_timeout_ms"], delivery - linger)}
    return options


def not_a_dict(properties: object) -> str:
    """What is said of a configuration that is none."""
    return f"the configuration is {describe(properties, secret=True)}, expected confluent-kafka's dict"
