"""The table of options. A row is a field: name, type with range, Kafka's names for it, default, and the sentence of the docs.

Nothing about an option is said anywhere else: what reads environments and properties, the actors' settings and the tables in
docs/configuration.md are made from these rows. What must hold between options is in `checks`.

The options stand in layers, because scopes share them: what any sender needs (`DeliveryOptions`), what a producer adds
(`ProducerOptions`). The client takes a producer's options too, as the defaults of all its producers; which ones a user gave is what
pydantic remembers in `model_fields_set`.

Kafka's names are those of its producer configuration reference (ProducerConfig, CommonClientConfigs, SaslConfigs, SslConfigs) and of
librdkafka's CONFIGURATION.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Unpack

from pydantic import Field, PlainValidator

from klife.api.config.base import Options, Problem
from klife.api.config.option_types import (
    Acks,
    BootstrapServers,
    ClientId,
    CompressionType,
    Expected,
    Features,
    FilePath,
    FrameBytes,
    Hooking,
    Kafka,
    MemoryBytes,
    Milliseconds,
    Name,
    Partitioning,
    PositiveMilliseconds,
    SaslMechanism,
    Secret,
    Serializing,
    SocketOptions,
    TokenProvider,
    TopicName,
    as_tuple,
)
from klife.api.config.security_checks import sasl_problems, tls_problems
from klife.api.config.security_keywords import SaslKeywords, TlsKeywords

CLIENT_ID_PATTERN = "klife_producer.{client}.{producer}"


class DeliveryOptions(Options):
    """How long, how often and how compressed records are sent: shared by producers and transactional producers."""

    delivery_timeout_ms: Annotated[PositiveMilliseconds, Kafka("delivery.timeout.ms", "message.timeout.ms")] = 60_000
    """Milliseconds from `produce` until a record is delivered or given up, retries included; >= linger_ms + request_timeout_ms."""

    request_timeout_ms: Annotated[PositiveMilliseconds, Kafka("request.timeout.ms")] = 15_000
    """Milliseconds a broker has to answer one request before the request counts as lost and is retried."""

    retry_backoff_ms: Annotated[PositiveMilliseconds, Kafka("retry.backoff.ms")] = 100
    """Milliseconds before the first retry of a partition's batch; doubles with each further one, with jitter (KIP-580)."""

    retry_backoff_max_ms: Annotated[PositiveMilliseconds, Kafka("retry.backoff.max.ms")] = 1_000
    """Milliseconds the doubling of retry_backoff_ms stops at."""

    compression_type: Annotated[CompressionType, Kafka("compression.type", "compression.codec")] = "none"
    """The codec of record batches: "none", "gzip", "snappy", "lz4" or "zstd"."""

    compression_level: Annotated[
        int | None, Kafka("compression.level", "compression.gzip.level", "compression.lz4.level", "compression.zstd.level")
    ] = None
    """The codec's level (KIP-390): gzip 1 to 9 or -1, lz4 1 to 17, zstd -131072 to 22. None is the codec's own default."""


class ProducerOptions(DeliveryOptions):
    """All options of a producer but its name."""

    client_id: Annotated[ClientId, Kafka("client.id")] = CLIENT_ID_PATTERN
    """The client id brokers see in requests, logs and quotas; {client} and {producer} are replaced by their names."""

    acks: Annotated[Acks, Kafka("acks", "request.required.acks")] = "all"
    """Who must have a record before it counts as delivered: "all" replicas in sync (-1 is taken for it), 1 the leader, 0 nobody."""

    linger_ms: Annotated[Milliseconds, Kafka("linger.ms", "queue.buffering.max.ms")] = 0
    """Milliseconds a batch waits for more records. At 0 it goes as soon as a request may; records of one moment still share it."""

    # Java and librdkafka limit a batch of one partition by that name; here it is the request, which holds many partitions. Java's
    # default (16384) copied here would make requests needlessly small.
    batch_size_bytes: Annotated[FrameBytes, Kafka("batch.size")] = 512_000
    """Bytes of records in one request to a broker, over all its partitions. (Java's batch.size is per partition.)"""

    max_in_flight_requests: Annotated[int, Field(ge=1, le=1_000), Kafka("max.in.flight.requests.per.connection", "max.in.flight")] = 1
    """Requests to a broker that may be unanswered at once, per batcher; at most 5 with idempotence. Order is kept at any number."""

    batchers_count: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Batchers per broker, among which its partitions are divided."""

    enable_idempotence: Annotated[bool, Kafka("enable.idempotence")] = True
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

    key_serializer: Annotated[Serializing, Field(repr=False)] = None
    """What makes bytes of its records' keys: a callable f(key) or f(key, context). None: they are bytes."""

    value_serializer: Annotated[Serializing, Field(repr=False)] = None
    """What makes bytes of its records' values: a callable f(value) or f(value, context). None: they are bytes."""


class TxnPoolConfig(DeliveryOptions):
    """A pool of transactional producers. What it leaves out of the options that a producer has too, it takes from the client."""

    name: Name
    """What `transaction(pool=...)` calls it; unique in its client."""

    base_txn_id: str = ""
    """What the transactional ids of its producers begin with, "-0" and so on behind it. No two processes may have the same; "" is
    random."""

    pool_size: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Transactions that may be open at once; producers are made on demand, up to twice this number."""

    txn_timeout_ms: PositiveMilliseconds = 90_000
    """Milliseconds after which the brokers abort a transaction that is still open; >= delivery_timeout_ms, and at most the brokers'
    transaction.max.timeout.ms."""

    checkout_timeout_ms: Milliseconds = 5_000
    """Milliseconds to wait, while pool_size transactions are open, for one of them to end; then it raises PoolExhausted."""


class TlsConfig(Options):
    """How to speak TLS. Files are PEM. They are read when a client starts, and again for new connections when they have changed."""

    ca_file: Annotated[FilePath | None, Kafka("ssl.ca.location")] = None
    """The certificate authorities to trust, in one file; None is the system's."""

    cert_file: Annotated[FilePath | None, Kafka("ssl.certificate.location")] = None
    """The client's own certificate, with the intermediate ones behind it, for brokers that want one (mutual TLS)."""

    key_file: Annotated[FilePath | None, Kafka("ssl.key.location")] = None
    """The key of cert_file; None when it is in the same file."""

    key_password: Annotated[Secret | None, Kafka("ssl.key.password")] = None
    """The password of the key, if that is encrypted."""

    check_hostname: Annotated[bool, Kafka("ssl.endpoint.identification.algorithm")] = True
    """Whether a broker's certificate must be for the host that is connected to. It must be of a trusted authority in any case."""

    if TYPE_CHECKING:

        def __init__(self, **settings: Unpack[TlsKeywords]) -> None: ...

    def _cross_check(self) -> list[Problem]:
        return list(tls_problems(self.cert_file, self.key_file, self.key_password))


class SaslConfig(Options):
    """How to authenticate. Which of the others a mechanism needs: username and password, or a token_provider."""

    mechanism: Annotated[SaslMechanism, Kafka("sasl.mechanism", "sasl.mechanisms")]
    """"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", or an object of your own with a `name` and an `exchange(host)`."""

    username: Annotated[str | None, Kafka("sasl.username")] = None
    """The user, for PLAIN and SCRAM; for SCRAM in ASCII."""

    password: Annotated[Secret | None, Kafka("sasl.password")] = None
    """The password, for PLAIN and SCRAM. It is used as it is (UTF-8, without SASLprep), as Kafka does."""

    token_provider: TokenProvider | None = Field(default=None, repr=False)
    """For OAUTHBEARER: called without arguments, in a thread. Returns a token, or (token, expires at, in seconds since 1970), or
    these two and a dict of SASL extensions."""

    if TYPE_CHECKING:

        def __init__(self, **settings: Unpack[SaslKeywords]) -> None: ...

    def _cross_check(self) -> list[Problem]:
        return list(sasl_problems(self.mechanism, self.username, self.password, self.token_provider))

    def __repr_args__(self) -> Any:
        """Without what a mechanism of the user's own says of itself, which may be anything."""
        for name, value in super().__repr_args__():
            yield name, value if name != "mechanism" or isinstance(value, str) else getattr(value, "name", "?")


def _tls(value: object) -> object:
    # Imported here: a program that monkey-patches after importing klife must not find `ssl` loaded by us. All
    # contexts are `_SSLContext`s; one made before patching is none of the class that `ssl.SSLContext` is after it.
    from _ssl import PROTOCOL_TLS_SERVER, _SSLContext

    if isinstance(value, _SSLContext) and value.protocol == PROTOCOL_TLS_SERVER:
        raise ValueError("it is a server's context; make one of a client's by ssl.create_default_context(cafile=...)")
    if isinstance(value, bool | _SSLContext | TlsConfig):
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


class ClientOptions(ProducerOptions):
    """All options of a client. Those of a producer are the defaults of all its producers."""

    stand_ins: ClassVar[Mapping[str, Any]] = {"bootstrap_servers": "localhost:9092"}

    bootstrap_servers: Annotated[BootstrapServers, Kafka("bootstrap.servers", "metadata.broker.list")]
    """Brokers asked first: "host:port", comma-separated or a list. IPv6 in brackets; "PLAINTEXT://" may go before."""

    name: Name | None = None
    """What `Client.get` calls the client, and {client} in client ids. None: "klife-1" and so on, and "klife" in client ids."""

    producers: Annotated[
        tuple[ProducerConfig, ...], as_tuple, Expected("a list of producers, each a dict of options or a ProducerConfig")
    ] = ()
    """Producers beside the default one, each with settings, batches and a producer id of its own."""

    default_producer: Name | None = None
    """The producer of records that name none. One of `producers`, or None: "klife_default_producer", which then is made."""

    topics: Annotated[tuple[TopicConfig, ...], as_tuple, Expected("a list of topics, each a dict of options or a TopicConfig")] = ()
    """Defaults per topic; these topics are looked up at start."""

    default_partitioner: Annotated[Partitioning, Kafka("partitioner")] = "murmur2"
    """What chooses partitions: "murmur2" (as Java), "phash2" (Klife 0.x), "crc32" (librdkafka), "random", or a Partitioner."""

    txn_pools: Annotated[
        tuple[TxnPoolConfig, ...], as_tuple, Expected("a list of pools, each a dict of options or a TxnPoolConfig")
    ] = ()
    """Pools of transactional producers."""

    default_txn_pool: Name | None = None
    """The pool of transactions that name none. One of `txn_pools`, or None: the first of them."""

    disabled_features: Features = ()
    """Parts not to start: "producer", "txn_producer"."""

    metadata_max_age_ms: Annotated[PositiveMilliseconds, Kafka("metadata.max.age.ms", "topic.metadata.refresh.interval.ms")] = 300_000
    """Milliseconds after which topics and leaders are asked for again, even if nothing failed."""

    allow_auto_create_topics: Annotated[bool, Kafka("allow.auto.create.topics")] = True
    """Whether a record may have its topic created, where the brokers are set up to (auto.create.topics.enable)."""

    unknown_topic_ms: Annotated[Milliseconds, Kafka("topic.metadata.propagation.max.ms")] = 5_000
    """Milliseconds for which the cluster has to say that there is no such topic, until `produce` believes it; and for which it then
    remembers."""

    max_buffered_bytes: Annotated[MemoryBytes, Kafka("buffer.memory"), Kafka("queue.buffering.max.kbytes", factor=1024)] = 33_554_432
    """Bytes of records that may wait for brokers, over all producers."""

    on_buffer_full: Literal["block", "raise"] = "block"
    """What `produce` does at max_buffered_bytes: "block" up to max_block_ms and then raise BufferFull, or "raise" it at once."""

    max_block_ms: Annotated[Milliseconds, Kafka("max.block.ms")] = 60_000
    """Milliseconds `produce` may wait for metadata of a new topic and for buffer space."""

    hooks: Annotated[Hooking, Field(repr=False)] = ()
    """What hears of what the client does: objects of klife.hooks.Hooks, or classes of them."""

    on_fork: Literal["restart", "raise"] = "restart"
    """What the client does when used in a forked child: "restart" afresh there, or "raise" ClientClosed."""

    run_in: Literal["home", "thread"] = "home"
    """Where the client's hub runs: "home", the thread that starts the client, or a "thread" of its own, for programs without gevent."""

    tls: Tls = False
    """False, True (the system's certificate authorities), settings (TlsConfig or a dict), or an ssl.SSLContext."""

    sasl: SaslConfig | None = None
    """How to authenticate: settings (SaslConfig or a dict). None is not to."""

    connect_timeout_ms: Annotated[PositiveMilliseconds, Kafka("socket.connection.setup.timeout.ms")] = 10_000
    """Milliseconds for each of a name's addresses to take a connection, and for the broker then to say which versions it speaks."""

    socket_options: SocketOptions = ()
    """(level, option, value) for each `socket.setsockopt` wanted on connections; they win over klife's own (keepalive, TCP_NODELAY)."""

    connections_max_idle_ms: Annotated[Milliseconds, Kafka("connections.max.idle.ms")] = 540_000
    """Milliseconds without a request after which a connection is closed, and opened again when it is needed; 0 keeps it."""

    reconnect_backoff_ms: Annotated[PositiveMilliseconds, Kafka("reconnect.backoff.ms")] = 50
    """Milliseconds before the first attempt to reconnect to a broker; doubles with each further one, with jitter."""

    reconnect_backoff_max_ms: Annotated[PositiveMilliseconds, Kafka("reconnect.backoff.max.ms")] = 10_000
    """Milliseconds the doubling of reconnect_backoff_ms stops at."""

    max_response_bytes: Annotated[FrameBytes, Kafka("receive.message.max.bytes")] = 104_857_600
    """Bytes of the largest response accepted; a broker that announces more is disconnected before memory is taken."""
