"""`ClientConfig`: all options of a client, from keywords, a dict, Kafka's dotted names or the environment.

Whatever the source, the way is one: plain options by klife's names, then frozen pydantic models, then the checks between options,
and one `ConfigError` that lists everything wrong.

- `config_fields`, `config_options`: what single options take; the models of producers, topics, pools, TLS, SASL
- `config_checks`: what must hold between options, and which are refused because their feature is not there yet
- `config_base`, `config_errors`: how a model fails, and in which words
- `config_names`, `config_properties`, `config_environment`, `config_text`: names and text of other worlds
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from klife.api.config_base import Problem, attempt
from klife.api.config_checks import cross_check, not_yet
from klife.api.config_environment import EnvironmentReader
from klife.api.config_errors import Origins, describe
from klife.api.config_fields import (
    BootstrapServers,
    Expected,
    Features,
    FrameBytes,
    MemoryBytes,
    Milliseconds,
    Name,
    Partitioning,
    PositiveMilliseconds,
    SocketOptions,
    as_tuple,
    split_address,
)
from klife.api.config_options import (
    CLIENT_ID_PATTERN,
    ProducerConfig,
    ProducerOptions,
    SaslConfig,
    Tls,
    TlsConfig,
    TopicConfig,
    TxnPoolConfig,
)
from klife.api.config_properties import PropertiesReader
from klife.errors import ConfigError

__all__ = [
    "CLIENT_ID_PATTERN",
    "DEFAULT_PRODUCER_NAME",
    "ClientConfig",
    "ProducerConfig",
    "SaslConfig",
    "TlsConfig",
    "TopicConfig",
    "TxnPoolConfig",
]

DEFAULT_PRODUCER_NAME = "klife_default_producer"


class ClientConfig(ProducerOptions):
    """All options of a client, checked. Immutable; `build(config, **options)` makes another.

    A producer's options given here (`linger_ms=5`) are the defaults of all its producers; an element of `producers` overrides them.

    Raises:
        ConfigError: with one line for everything wrong, when built.
    """

    stand_ins: ClassVar[Mapping[str, Any]] = {"bootstrap_servers": "localhost:9092"}

    bootstrap_servers: BootstrapServers
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

    default_partitioner: Partitioning = "murmur2"
    """What chooses partitions: "murmur2" (as Java), "phash2" (Klife 0.x), "crc32" (librdkafka), "random", or a Partitioner."""

    txn_pools: Annotated[
        tuple[TxnPoolConfig, ...], as_tuple, Expected("a list of pools, each a dict of options or a TxnPoolConfig")
    ] = ()
    """Pools of transactional producers."""

    default_txn_pool: Name | None = None
    """The pool of transactions that name none."""

    disabled_features: Features = ()
    """Parts not to start: "producer", "txn_producer"."""

    metadata_max_age_ms: PositiveMilliseconds = 300_000
    """Milliseconds after which topics and leaders are asked for again, even if nothing failed."""

    max_buffered_bytes: MemoryBytes = 33_554_432
    """Bytes of records that may wait for brokers, over all producers."""

    on_buffer_full: Literal["block", "raise"] = "block"
    """What `produce` does at max_buffered_bytes: "block" up to max_block_ms and then raise BufferFull, or "raise" it at once."""

    max_block_ms: Milliseconds = 60_000
    """Milliseconds `produce` may wait for metadata of a new topic and for buffer space."""

    on_fork: Literal["restart", "raise"] = "restart"
    """What the client does when used in a forked child: "restart" afresh there, or "raise" ClientClosed."""

    tls: Tls = False
    """False, True (the system's certificate authorities), settings (TlsConfig or a dict), or an ssl.SSLContext."""

    sasl: SaslConfig | None = None
    """How to authenticate; None is not to."""

    connect_timeout_ms: PositiveMilliseconds = 10_000
    """Milliseconds for each of a name's addresses to take a connection, and for the broker then to say which versions it speaks."""

    socket_options: SocketOptions = ()
    """(level, option, value) for each `socket.setsockopt` wanted on connections; they win over klife's own (keepalive, TCP_NODELAY)."""

    connections_max_idle_ms: Milliseconds = 540_000
    """Milliseconds without a request after which a connection is closed, and opened again when it is needed; 0 keeps it."""

    reconnect_backoff_ms: PositiveMilliseconds = 50
    """Milliseconds before the first attempt to reconnect to a broker; doubles with each further one, with jitter."""

    reconnect_backoff_max_ms: PositiveMilliseconds = 10_000
    """Milliseconds the doubling of reconnect_backoff_ms stops at."""

    max_response_bytes: FrameBytes = 104_857_600
    """Bytes of the largest response accepted; a broker that announces more is disconnected before memory is taken."""

    @classmethod
    def build(
        cls, source: str | list[str] | tuple[str, ...] | Mapping[str, Any] | ClientConfig | None = None, /, **options: Any
    ) -> Self:
        """The configuration of `source` with `options` over it.

        Args:
            source: bootstrap servers ("host:port,..." or a list), a dict of options, a ClientConfig, or None with
                `bootstrap_servers=...` among the options.
            options: options by their names; each replaces the source's as a whole (lists are not merged).

        Raises:
            ConfigError: with one line for everything wrong.
        """
        match source:
            case None:
                given: dict[str, Any] = {}
            case ClientConfig():
                given = {name: getattr(source, name) for name in source.model_fields_set}
            case Mapping():
                if strange := [key for key in source if not isinstance(key, str)]:
                    raise ConfigError([f"an option's name is {describe(key, secret=True)}, expected str" for key in strange])
                given = dict(source)
            case str() | list() | tuple():
                if "bootstrap_servers" in options:
                    raise ConfigError(["bootstrap_servers: given twice, by position and by keyword; leave one of the two out"])
                given = {"bootstrap_servers": source}
            case _:
                raise ConfigError(
                    [
                        f"the configuration is {describe(source, secret=True)}, expected bootstrap servers as str or list, "
                        "a dict of options, or a ClientConfig"
                    ]
                )
        return cls._from_options(given | options, {}, [])

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any], /) -> Self:
        """The configuration of Java's and librdkafka's dotted names, with typed values or strings.

        `batch.size` deserves a thought: there it bounds a partition's batch, here (batch_size_bytes) a whole request to a broker.
        Options without a dotted name are given over it: `ClientConfig.build(ClientConfig.from_properties(...), producers=[...])`.

        Raises:
            ConfigError: with one line for everything wrong; for an unknown name, what was probably meant, and for a known one
                without an equivalent, what to do instead.
        """
        reader = PropertiesReader(cls)
        reader.read(properties)
        return cls._from_options(reader.options, reader.origins, reader.problems)

    @classmethod
    def from_env(cls, prefix: str = "KLIFE_", environ: Mapping[str, str] | None = None) -> Self:
        """The configuration of environment variables: `prefix` and an option's name in capitals, KLIFE_LINGER_MS=5.

        Lists of words are comma-separated (KLIFE_BOOTSTRAP_SERVERS); producers, topics, txn_pools, tls, sasl and socket_options
        are JSON. KLIFE_PURE and KLIFE_TEST_* have other meanings and are passed over.

        Args:
            prefix: what all variables begin with; not empty.
            environ: the variables; None is `os.environ`.

        Raises:
            ConfigError: with one line for everything wrong, an unknown variable of that prefix included.
        """
        if not prefix:
            raise ConfigError(["prefix: an empty str would take every variable for an option; give one such as 'KLIFE_'"])
        reader = EnvironmentReader(cls, prefix)
        reader.read(os.environ if environ is None else environ)
        return cls._from_options(reader.options, reader.origins, reader.problems)

    @classmethod
    def _from_options(cls, options: Mapping[str, Any], origins: Origins, problems: list[str]) -> Self:
        config, more = attempt(cls, options, origins)
        if config is None or problems:
            raise ConfigError([*problems, *more])
        return config

    @property
    def bootstrap_addresses(self) -> tuple[tuple[str, int], ...]:
        """`bootstrap_servers` as (host, port), IPv6 without brackets."""
        return tuple(split_address(address) for address in self.bootstrap_servers)

    @property
    def default_producer_name(self) -> str:
        """The name of the producer of records that name none."""
        return self.default_producer or DEFAULT_PRODUCER_NAME

    @property
    def resolved_producers(self) -> tuple[ProducerConfig, ...]:
        """The producers to start, every option filled in, client ids included.

        They are those of `producers`, and the default producer after them unless `default_producer` is one of them. None when the
        feature "producer" is disabled.
        """
        if "producer" in self.disabled_features:
            return ()
        producers = list(self.producers)
        listed = {producer.name for producer in producers}
        if DEFAULT_PRODUCER_NAME not in listed and self.default_producer not in listed:
            producers.append(ProducerConfig(name=DEFAULT_PRODUCER_NAME))
        return tuple(self._resolve(producer) for producer in producers)

    def _resolve(self, producer: ProducerConfig) -> ProducerConfig:
        inherited = {
            option: getattr(producer if option in producer.model_fields_set else self, option)
            for option in ProducerOptions.model_fields
        }
        asked = "enable_idempotence" in producer.model_fields_set or "enable_idempotence" in self.model_fields_set
        if not asked and inherited["acks"] != "all":
            inherited["enable_idempotence"] = False  # as in Java (KIP-679): on by default where the acks allow it
        inherited["client_id"] = inherited["client_id"].format(client=self.name or "klife", producer=producer.name)
        return producer.model_copy(update=inherited)

    @classmethod
    def _refused(cls, options: Mapping[str, Any]) -> list[Problem]:
        return not_yet(options)

    def _cross_check(self) -> list[Problem]:
        return [*not_yet({name: getattr(self, name) for name in self.model_fields_set}), *cross_check(self)]
