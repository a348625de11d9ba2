"""`ClientConfig`: a client's configuration, from keywords, a dict, Kafka's dotted names or the environment.

Whatever the source, the way is one: plain options by klife's names, then frozen pydantic models, then the
checks between options, and one `ConfigError` that lists everything wrong.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self, Unpack

from klife.actors.producer.partition import MAX_IN_FLIGHT
from klife.api.config.addresses import split_address
from klife.api.config.base import Problem, attempt
from klife.api.config.checks import cross_check
from klife.api.config.environment import EnvironmentReader
from klife.api.config.from_clients import MURMUR2_INSTEAD, ConfluentReader, KafkaPythonReader, keys_move, not_a_dict
from klife.api.config.keywords import ClientKeywords
from klife.api.config.options import ClientOptions, DeliveryOptions, ProducerConfig, ProducerOptions, TopicConfig, TxnPoolConfig
from klife.api.config.plain import DEFAULT_PRODUCER_NAME
from klife.api.config.properties import PropertiesReader
from klife.api.config.properties_file import read_properties
from klife.api.config.words import Origins, describe
from klife.errors import ConfigError


class ClientConfig(ClientOptions):
    """All options of a client, checked. Immutable; `build(config, **options)` makes another.

    A producer's options given here (`linger_ms=5`) are the defaults of all its producers; an element of
    `producers` overrides them.

    Raises:
        ConfigError: with one line for everything wrong, when built.
    """

    @classmethod
    def build(
        cls,
        source: str | list[str] | tuple[str, ...] | Mapping[str, Any] | ClientConfig | None = None,
        /,
        **options: Unpack[ClientKeywords],
    ) -> Self:
        """The configuration of `source` with `options` over it.

        Args:
            source: bootstrap servers ("host:port,..." or a list), a dict of options, a ClientConfig, or None
            with
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
    def from_properties(cls, properties: Mapping[str, Any] | str | os.PathLike[str], /) -> Self:
        """The configuration of Java's and librdkafka's dotted names, with typed values or strings; or that of
        a file of such properties, by its path.

        `batch.size` deserves a thought: there it bounds a partition's batch, here (batch_size_bytes) a whole
        request to a broker. Options without a dotted name are given over it:
        `ClientConfig.build(ClientConfig.from_properties(...), producers=[...])`.

        Raises:
            ConfigError: with one line for everything wrong; for an unknown name, what was probably meant, and
                for a known one without an equivalent, what to do instead.
        """
        if isinstance(properties, str | os.PathLike):
            properties = read_properties(properties)
        if not isinstance(properties, Mapping):
            raise ConfigError([f"the properties are {describe(properties, secret=True)}, expected a dict, or the path of a file"])
        reader = PropertiesReader(cls)
        reader.read(properties)
        if keys_move(properties):
            warnings.warn(MURMUR2_INSTEAD, UserWarning, stacklevel=2)
        return cls._from_options(reader.options, reader.origins, reader.problems)

    @classmethod
    def from_confluent(
        cls, configuration: Mapping[str, Any], /, *, topics: Sequence[str | TopicConfig | Mapping[str, Any]] = ()
    ) -> Self:
        """The configuration of a dict for confluent-kafka's Producer, with librdkafka's defaults for what it
        leaves out: keys stay on their partitions (crc32), and acks, timeouts, linger.ms and batch.size are as
        before. A SerializingProducer's serializers are given to the `topics`, names or TopicConfigs, that have
        none of their own. Options of klife's own are given over it: `ClientConfig.build(ClientConfig.from_confluent(...),
        enable_idempotence=True)`.

        Warns (UserWarning) where records will go to other partitions all the same.

        Raises:
            ConfigError: with one line for everything wrong; for callbacks, and whatever else is done
                otherwise here, what to do.
        """
        if not isinstance(configuration, Mapping):
            raise ConfigError([not_a_dict(configuration)])
        reader = ConfluentReader(cls, topics)
        reader.read(configuration)
        for change in reader.warnings:
            warnings.warn(change, UserWarning, stacklevel=2)
        return cls._from_options(reader.options, reader.origins, reader.problems)

    @classmethod
    def from_kafka_python(cls, **options: Any) -> Self:
        """The configuration of keywords for kafka-python's KafkaProducer, with its defaults (3.0) for what is
        left out. Its default partitioner is klife's.

        Raises:
            ConfigError: as `from_confluent`.
        """
        reader = KafkaPythonReader(cls)
        reader.read(options)
        return cls._from_options(reader.options, reader.origins, reader.problems)

    @classmethod
    def from_env(cls, prefix: str = "KLIFE_", environ: Mapping[str, str] | None = None) -> Self:
        """The configuration of environment variables: `prefix` and an option's name in capitals,
        KLIFE_LINGER_MS=5.

        Lists of words are comma-separated (KLIFE_BOOTSTRAP_SERVERS); producers, topics, txn_pools, tls, sasl
        and socket_options are JSON. KLIFE_PURE and KLIFE_TEST_* have other meanings and are passed over, and
        so are those by which Kubernetes tells of a service called klife (KLIFE_PORT=tcp://10.0.0.1:9092).

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

        They are those of `producers`, and the default producer after them unless `default_producer` is one of
        them. None when the feature "producer" is disabled.
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

    @property
    def default_txn_pool_name(self) -> str | None:
        """The name of the pool of transactions that name none; None where there are no pools."""
        return self.default_txn_pool or next((pool.name for pool in self.resolved_txn_pools), None)

    @property
    def resolved_txn_pools(self) -> tuple[TxnPoolConfig, ...]:
        """`txn_pools`, with the client's own options where a pool leaves one out. None when the feature
        "txn_producer" is disabled.
        """
        if "txn_producer" in self.disabled_features:
            return ()
        return tuple(
            pool.model_copy(
                update={option: getattr(self, option) for option in DeliveryOptions.model_fields if option not in pool.model_fields_set}
            )
            for pool in self.txn_pools
        )

    def producer_of_pool(self, pool: TxnPoolConfig) -> ProducerConfig:
        """How the producers of a pool send, whose options are all filled in: as transactions want it, which
        is to all replicas, idempotent, and without lingering, for an owner waits for all of a transaction.
        """
        return ProducerConfig(
            name=pool.name,
            client_id=self.client_id.format(client=self.name or "klife", producer=pool.name),
            batch_size_bytes=self.batch_size_bytes,
            max_in_flight_requests=min(self.max_in_flight_requests, MAX_IN_FLIGHT),
            **{option: getattr(pool, option) for option in DeliveryOptions.model_fields},
        )

    def _cross_check(self) -> list[Problem]:
        return cross_check(self, self.resolved_producers, self.resolved_txn_pools)
