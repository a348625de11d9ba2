"""Configurations that need no model: bootstrap servers, and options whose values are numbers and words.

To import pydantic and to build the models takes a tenth of a second of processor time and ten MiB, in every
worker. Most clients are started with a handful of plain options, and there is nothing to say about them. So
these are looked at here. Whatever is not plainly right is left to the models, which know what is wrong and
how to say it; what holds between options is held against the same checks.

The options are written out, with what is taken without a thought; a test compares them with the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final

from klife.api.config.addresses import split_address
from klife.protocol.primitives import INT32_MAX

DEFAULT_PRODUCER_NAME: Final = "klife_default_producer"

_MS: Final = range(INT32_MAX + 1)
_POSITIVE: Final = range(1, INT32_MAX + 1)
_THOUSAND: Final = range(1, 1_001)
_NOT_PLAIN: Final = ()
_LONGEST_NAME: Final = 249

PRODUCER_OPTIONS: Final[dict[str, tuple[Any, range | tuple[Any, ...]]]] = {
    "delivery_timeout_ms": (60_000, _POSITIVE),
    "request_timeout_ms": (15_000, _POSITIVE),
    "retry_backoff_ms": (100, _POSITIVE),
    "retry_backoff_max_ms": (1_000, _POSITIVE),
    "compression_type": ("none", ("none", "gzip", "snappy", "lz4", "zstd")),
    "compression_level": (None, _NOT_PLAIN),
    "client_id": ("klife_producer.{client}.{producer}", _NOT_PLAIN),
    "acks": ("all", ("all", 1, 0)),
    "linger_ms": (0, _MS),
    "batch_size_bytes": (512_000, _POSITIVE),
    "max_in_flight_requests": (1, _THOUSAND),
    "batchers_count": (1, _THOUSAND),
    "enable_idempotence": (True, (True, False)),
}
"""The default of each option, and which numbers or words are plain."""

OPTIONS: Final[dict[str, tuple[Any, range | tuple[Any, ...]]]] = {
    **PRODUCER_OPTIONS,
    "name": (None, _NOT_PLAIN),  # looked at by itself, as bootstrap_servers are
    "producers": ((), _NOT_PLAIN),
    "default_producer": (None, _NOT_PLAIN),
    "topics": ((), _NOT_PLAIN),
    "default_partitioner": ("murmur2", ("murmur2", "phash2", "crc32", "random")),
    "txn_pools": ((), _NOT_PLAIN),
    "default_txn_pool": (None, _NOT_PLAIN),
    "disabled_features": ((), _NOT_PLAIN),
    "hooks": ((), _NOT_PLAIN),
    "metadata_max_age_ms": (300_000, _POSITIVE),
    "allow_auto_create_topics": (True, (True, False)),
    "unknown_topic_ms": (5_000, _MS),
    "max_buffered_bytes": (33_554_432, range(1, 2**63)),
    "on_buffer_full": ("block", ("block", "raise")),
    "max_block_ms": (60_000, _MS),
    "on_fork": ("restart", ("restart", "raise")),
    "run_in": ("home", ("home", "thread")),
    "tls": (False, _NOT_PLAIN),
    "sasl": (None, _NOT_PLAIN),
    "connect_timeout_ms": (10_000, _POSITIVE),
    "socket_options": ((), _NOT_PLAIN),
    "connections_max_idle_ms": (540_000, _MS),
    "reconnect_backoff_ms": (50, _POSITIVE),
    "reconnect_backoff_max_ms": (10_000, _POSITIVE),
    "max_response_bytes": (104_857_600, _POSITIVE),
}


class PlainConfig:
    """What a `ClientConfig` of the same options says of itself, to those who start a client with it."""

    resolved_txn_pools: tuple[()] = ()
    default_txn_pool_name = None
    default_producer_name = DEFAULT_PRODUCER_NAME

    def __init__(self, servers: tuple[str, ...], given: Mapping[str, Any]) -> None:
        self.bootstrap_servers = servers
        self.model_fields_set: frozenset[str] = frozenset(given)
        for option, (default, _) in OPTIONS.items():
            setattr(self, option, given.get(option, default))

    def __getattr__(self, option: str) -> Any:
        raise AttributeError(f"{option} is not among the OPTIONS of {__name__}")

    @property
    def bootstrap_addresses(self) -> tuple[tuple[str, int], ...]:
        return tuple(map(split_address, self.bootstrap_servers))

    @property
    def resolved_producers(self) -> tuple[Any, ...]:
        options = {option: getattr(self, option) for option in PRODUCER_OPTIONS}
        options["client_id"] = self.client_id.format(client=self.name or "klife", producer=DEFAULT_PRODUCER_NAME)
        if "enable_idempotence" not in self.model_fields_set and self.acks != "all":
            options["enable_idempotence"] = False  # as `ClientConfig` has it, and Java
        return (SimpleNamespace(name=DEFAULT_PRODUCER_NAME, **options),)


def plain_config(source: object, options: Mapping[str, Any]) -> PlainConfig | None:
    """The configuration of `source` with `options` over it, if all of it is plain and right."""
    given = dict(options)
    if type(source) is dict:
        given = source | given
    elif source is not None:
        if "bootstrap_servers" in given:
            return None
        given["bootstrap_servers"] = source
    servers = _servers(given.pop("bootstrap_servers", None))
    if servers is None or not all(_is_plain(option, value) for option, value in given.items()):
        return None
    config = PlainConfig(servers, given)
    from klife.api.config.checks import cross_check  # by who starts a client

    checked: Any = config
    return None if cross_check(checked, config.resolved_producers, ()) else config


def _is_plain(option: object, value: object) -> bool:
    if option == "name":
        return value is None or (type(value) is str and 1 <= len(value) <= _LONGEST_NAME)
    known = OPTIONS.get(option) if type(option) is str else None
    if known is None:
        return False
    default, plain = known
    if plain is _NOT_PLAIN:
        return value is default and (value is None or value is False or value == ())
    if isinstance(plain, range):
        return type(value) is int and value in plain
    return any(type(value) is type(each) and value == each for each in plain)


def _servers(value: object) -> tuple[str, ...] | None:
    """The addresses, one by one, without the blanks around them."""
    if type(value) is str:
        addresses = [part for piece in value.split(",") if (part := piece.strip())]
    elif type(value) in (list, tuple) and all(type(each) is str for each in value):  # type: ignore[attr-defined]
        addresses = list(value)  # type: ignore[call-overload]
    else:
        return None
    try:
        for address in addresses:
            split_address(address)
    except ValueError:
        return None
    return tuple(addresses) or None
