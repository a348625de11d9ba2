"""From a user's configuration to what the actors work with: milliseconds to seconds, names to Kafka's
numbers. Once, at start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from klife.actors.principal import (
    Principal,
    nobody,
    principal_of_certificate,
    principal_of_mechanism,
    principal_of_token,
    principal_of_user,
)
from klife.actors.settings import (
    NEVER,
    ClientSettings,
    ConnectionSettings,
    ProducerSettings,
    SaslSettings,
    TlsSettings,
    TxnPoolSettings,
)
from klife.errors import ConfigError
from klife.protocol.codecs import CODECS, compress, quick_size

if TYPE_CHECKING:
    import ssl

    from klife.api.config import ClientConfig, ProducerConfig, TlsConfig, TxnPoolConfig

_ACKS = {"all": -1, 1: 1, 0: 0}

S = TypeVar("S", ClientSettings, ConnectionSettings, ProducerSettings, TxnPoolSettings)
T = TypeVar("T", SaslSettings, TlsSettings)


def client_settings(config: ClientConfig, name: str) -> ClientSettings:
    """The settings of a client that this process calls `name`.

    What brokers see is made of the configured name: quotas and metrics must not take each start for a new
    client.
    """
    topics = config.topics
    observer = _observer(config, name)
    connection = connection_settings(config)._replace(observer=observer)
    return _settings(
        ClientSettings,
        config,
        name=name,
        bootstrap=config.bootstrap_addresses,
        producers=tuple(producer_settings(each, connection.principal, observer) for each in config.resolved_producers),
        default_producer=config.default_producer_name,
        connection=connection,
        block_on_full=config.on_buffer_full == "block",
        topic_producers={topic.name: topic.default_producer for topic in topics if topic.default_producer is not None},
        topic_partitioners={topic.name: topic.default_partitioner for topic in topics if topic.default_partitioner is not None},
        topic_serializers={
            topic.name: (topic.key_serializer, topic.value_serializer)
            for topic in topics
            if topic.key_serializer is not None or topic.value_serializer is not None
        },
        prefetched_topics=tuple(topic.name for topic in topics),
        restart_after_fork=config.on_fork == "restart",
        in_own_thread=config.run_in == "thread",
        name_is_made_up=config.name is None,
        client_id="klife" if config.name is None else f"klife.{config.name}",
        txn_pools=tuple(txn_pool_settings(config, pool, connection.principal, observer) for pool in config.resolved_txn_pools),
        default_txn_pool=config.default_txn_pool_name,
        observer=observer,
    )


def _observer(config: ClientConfig, name: str) -> Any:
    if not config.hooks:
        return None
    from klife.actors.observer import Observer  # with the events that hooks hear of; by who has some

    return Observer(name, config.hooks)


def connection_settings(config: ClientConfig) -> ConnectionSettings:
    """How connections behave, security included."""
    tls = _tls(config.tls)
    sasl = None if config.sasl is None else _same(SaslSettings, config.sasl)
    return _settings(
        ConnectionSettings,
        config,
        max_idle=config.connections_max_idle_ms / 1000 or NEVER,
        principal=_principal(tls, sasl),
        tls=tls,
        sasl=sasl,
        observer=None,
    )


def checked_config(source: object, options: Mapping[str, Any]) -> ClientConfig:
    """The configuration of `source` with `options` over it; what pydantic and the models say of it, unless it
    is plain.

    Raises:
        ConfigError: with one line for everything wrong, files of the option tls included.
    """
    from klife.api.config.plain import plain_config  # here, for who only imports klife needs none of it

    plain = plain_config(source, options)
    if plain is not None:
        return cast("ClientConfig", plain)
    # A tenth of a second of processor time and ten MiB. It holds the hub once, while a service starts and
    # before the client does anything.
    from klife.api.config import ClientConfig

    config = ClientConfig.build(cast("Any", source), **options)
    check_files(config)
    return config


def check_files(config: ClientConfig) -> None:
    """Look at the files of the option tls, before anything is started with them.

    Raises:
        ConfigError: one does not exist, or is not what its option wants, or they do not fit together.
    """
    settings = _tls(config.tls)
    if settings is None or (settings.ca_file is None and settings.cert_file is None):  # of the system's store nothing can be said
        return
    from klife.actors.network.tls_context import check_tls_files

    try:
        check_tls_files(settings)
        return
    except ValueError as error:
        problem = f"tls.{error}"  # which begins with the option
    raise ConfigError([problem])


def producer_settings(config: ProducerConfig, principal: Principal | None = None, observer: Any = None) -> ProducerSettings:
    """The settings of one producer, whose options are all filled in."""
    codec = CODECS[config.compression_type]
    compress(codec, b"")  # loads the codec's library now, and not in the hub, with the first record
    return _settings(
        ProducerSettings,
        config,
        acks=_ACKS[config.acks],
        max_in_flight=config.max_in_flight_requests,
        idempotent=config.enable_idempotence,
        codec=codec,
        compress_elsewhere_from=quick_size(codec, config.compression_level),
        transactional_id=None,
        principal=principal or Principal(),
        observer=observer,
    )


def txn_pool_settings(config: ClientConfig, pool: TxnPoolConfig, principal: Principal, observer: Any = None) -> TxnPoolSettings:
    """The settings of a pool whose options are all filled in."""
    return _settings(TxnPoolSettings, pool, producer=producer_settings(config.producer_of_pool(pool), principal, observer))


def _principal(tls: TlsSettings | None, sasl: SaslSettings | None) -> Principal:
    if sasl is not None and sasl.username is not None:
        return principal_of_user(sasl.username)
    if sasl is not None:
        return principal_of_token() if sasl.mechanism == "OAUTHBEARER" else principal_of_mechanism(getattr(sasl.mechanism, "name", ""))
    if tls is not None and tls.context is not None:
        return principal_of_certificate("the SSLContext")
    return principal_of_certificate("cert_file") if tls is not None and tls.cert_file is not None else nobody()


def _tls(tls: bool | TlsConfig | ssl.SSLContext) -> TlsSettings | None:
    if tls is False:
        return None
    if tls is True:
        return TlsSettings()
    from klife.api.config import TlsConfig  # there already: `tls` came through it

    return _same(TlsSettings, tls, context=None) if isinstance(tls, TlsConfig) else TlsSettings(context=tls)


def _same(kind: type[T], options: Any, **more: Any) -> T:
    """The settings that have the names of the options."""
    return kind(**{name: getattr(options, name) for name in kind._fields if name not in more} | more)


def _settings(kind: type[S], options: ClientConfig | ProducerConfig | TxnPoolConfig, **translated: Any) -> S:
    """What is not `translated` is the option of the same name, or, in seconds, the one that has `_ms` behind
    it.
    """
    for name in kind._fields:
        if name not in translated:
            duration_ms = getattr(options, f"{name}_ms", None)
            translated[name] = getattr(options, name) if duration_ms is None else duration_ms / 1000
    return kind(**translated)
