"""What must hold between options, as pure functions of a client's configuration whose single options are
right.

Each finding says what it was concluded from, so that it can be left out when one of those options is wrong
already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from klife.actors.producer.partition import MAX_IN_FLIGHT
from klife.api.config.problem import Problem
from klife.api.config.words import Loc, describe, format_path, suggest
from klife.protocol.codecs import LEVELS

if TYPE_CHECKING:
    from klife.api.config.options import ClientOptions, DeliveryOptions, ProducerConfig, TopicConfig, TxnPoolConfig


def cross_check(config: ClientOptions, resolved: Sequence[ProducerConfig], pools: Sequence[TxnPoolConfig]) -> list[Problem]:
    """Everything wrong between options, once each; `resolved` and `pools` are the producers and pools to
    start, with their defaults.
    """
    found = [
        *_reconnect_backoff(config),
        *_features(config),
        *_duplicate_names(config),
        *_default_producers(config, resolved),
        *_default_txn_pool(config),
        *_shared_txn_ids(config),
    ]
    for producer, origin in _producers(config, resolved):
        for check in _PRODUCER_CHECKS:
            found += check(config, producer, origin)
    for index, pool in enumerate(pools):
        for pool_check in _POOL_CHECKS:
            found += pool_check(pool, _Origin("txn_pools", config.txn_pools, index))
    return list(dict.fromkeys(found))


def _reconnect_backoff(config: ClientOptions) -> Iterator[Problem]:
    if config.reconnect_backoff_max_ms < config.reconnect_backoff_ms:
        yield Problem(
            ("reconnect_backoff_max_ms",),
            f"{config.reconnect_backoff_max_ms} is less than reconnect_backoff_ms ({config.reconnect_backoff_ms}), where the "
            f"backoff starts; raise it to at least {config.reconnect_backoff_ms}, or lower reconnect_backoff_ms",
            (("reconnect_backoff_ms",),),
        )


_OPTIONS_OF = {"producer": ("producers", "default_producer"), "txn_producer": ("txn_pools", "default_txn_pool")}


def _features(config: ClientOptions) -> Iterator[Problem]:
    for feature in config.disabled_features:
        for option in _OPTIONS_OF[feature]:
            if getattr(config, option):
                yield Problem(
                    (option,), f'given, but "{feature}" is in disabled_features; leave one of the two out', (("disabled_features",),)
                )


def _duplicate_names(config: ClientOptions) -> Iterator[Problem]:
    named: dict[str, Sequence[ProducerConfig | TopicConfig | TxnPoolConfig]] = {
        "producers": config.producers,
        "topics": config.topics,
        "txn_pools": config.txn_pools,
    }
    for option, elements in named.items():
        count = Counter(element.name for element in elements)
        first: dict[str, int] = {}
        for index, element in enumerate(elements):
            if count[element.name] > 1 and first.setdefault(element.name, index) != index:
                where = format_path((option, first[element.name], "name"), {})
                yield Problem((option, index, "name"), f"{element.name!r} is the name of {where} already; choose another")


def _default_producers(config: ClientOptions, resolved: Sequence[ProducerConfig]) -> Iterator[Problem]:
    if "producer" in config.disabled_features:
        return
    names = [producer.name for producer in resolved]
    depends: tuple[Loc, ...] = (
        ("producers",),
        ("default_producer",),
        ("disabled_features",),
        *(("producers", index, "name") for index in range(len(config.producers))),
    )
    wanted: list[tuple[Loc, str | None]] = [(("default_producer",), config.default_producer)]
    wanted += [(("topics", index, "default_producer"), topic.default_producer) for index, topic in enumerate(config.topics)]
    for loc, name in wanted:
        if name is not None and name not in names:
            meant = suggest(name, names)
            advice = (
                f"did you mean {meant!r}?" if meant else f"name one of them in `producers`; there are {', '.join(map(repr, names))}"
            )
            yield Problem(loc, f"there is no producer {describe(name)}; {advice}", depends)


def _default_txn_pool(config: ClientOptions) -> Iterator[Problem]:
    name = config.default_txn_pool
    names = [pool.name for pool in config.txn_pools]
    if name is None or name in names or "txn_producer" in config.disabled_features:
        return
    depends: tuple[Loc, ...] = (
        ("txn_pools",),
        ("disabled_features",),
        *(("txn_pools", index, "name") for index in range(len(names))),
    )
    meant = suggest(name, names)
    there = f"there are {', '.join(map(repr, names))}" if names else "there are none"
    advice = f"did you mean {meant!r}?" if meant else f"name one of them in `txn_pools`; {there}"
    yield Problem(("default_txn_pool",), f"there is no pool {describe(name)}; {advice}", depends)


def _shared_txn_ids(config: ClientOptions) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, pool in enumerate(config.txn_pools):
        if pool.base_txn_id and first.setdefault(pool.base_txn_id, index) != index:
            where = format_path(("txn_pools", first[pool.base_txn_id], "base_txn_id"), {})
            yield Problem(
                ("txn_pools", index, "base_txn_id"),
                f"{pool.base_txn_id!r} is that of {where} already, so that the two pools would fence each other; choose another",
                (("txn_pools", first[pool.base_txn_id], "base_txn_id"),),
            )


class _Origin:
    """Where the options of a producer or pool were given: in its element of the list that is the option
    `listed`, or (as its defaults) at the client.
    """

    def __init__(self, listed: str, elements: Sequence[ProducerConfig | TxnPoolConfig], index: int | None) -> None:
        self._given = elements[index].model_fields_set if index is not None else frozenset[str]()
        self._listed = listed
        self._index = index

    def __call__(self, option: str) -> Loc:
        return (self._listed, self._index, option) if self._index is not None and option in self._given else (option,)

    def problem(self, options: Sequence[str], text: str) -> Problem:
        """A problem of `options` together, told at the first of them that the producer itself gives, else at
        the client's first.
        """
        locs = [self(option) for option in options]
        place = next((loc for loc in locs if len(loc) > 1), locs[0])
        return Problem(place, text, tuple(locs))


def _producers(config: ClientOptions, resolved: Sequence[ProducerConfig]) -> Iterator[tuple[ProducerConfig, _Origin]]:
    for index, producer in enumerate(resolved):
        yield producer, _Origin("producers", config.producers, index if index < len(config.producers) else None)


def _delivery_timeout(config: ClientOptions, producer: ProducerConfig, origin: _Origin) -> Iterator[Problem]:
    needed = producer.linger_ms + producer.request_timeout_ms
    if producer.delivery_timeout_ms < needed:
        yield origin.problem(
            ("delivery_timeout_ms", "request_timeout_ms", "linger_ms"),
            f"delivery_timeout_ms ({producer.delivery_timeout_ms}) is less than linger_ms ({producer.linger_ms}) + "
            f"request_timeout_ms ({producer.request_timeout_ms}), so that a record could time out before its first request does; "
            f"raise delivery_timeout_ms to at least {needed}, or lower the others",
        )


def _retry_backoff(config: ClientOptions, producer: ProducerConfig, origin: _Origin) -> Iterator[Problem]:
    yield from _backoff(producer, origin)


def _backoff(producer: DeliveryOptions, origin: _Origin) -> Iterator[Problem]:
    if producer.retry_backoff_max_ms < producer.retry_backoff_ms:
        yield origin.problem(
            ("retry_backoff_max_ms", "retry_backoff_ms"),
            f"retry_backoff_max_ms ({producer.retry_backoff_max_ms}) is less than retry_backoff_ms ({producer.retry_backoff_ms}), "
            f"where the backoff starts; raise it to at least {producer.retry_backoff_ms}, or lower retry_backoff_ms",
        )


def _idempotence(config: ClientOptions, producer: ProducerConfig, origin: _Origin) -> Iterator[Problem]:
    if not producer.enable_idempotence:
        return
    if producer.acks != "all":
        yield origin.problem(
            ("acks", "enable_idempotence"),
            f'acks is {producer.acks}, but idempotence needs acks "all"; give acks="all", or enable_idempotence=False',
        )
    if producer.max_in_flight_requests > MAX_IN_FLIGHT:
        yield origin.problem(
            ("max_in_flight_requests", "enable_idempotence"),
            f"max_in_flight_requests is {producer.max_in_flight_requests}, but with idempotence at most {MAX_IN_FLIGHT} "
            f"are allowed; give a number from 1 to {MAX_IN_FLIGHT}, or enable_idempotence=False",
        )


def _compression_level(config: ClientOptions, producer: ProducerConfig, origin: _Origin) -> Iterator[Problem]:
    yield from _level(producer, origin)


def _level(producer: DeliveryOptions, origin: _Origin) -> Iterator[Problem]:
    level, codec = producer.compression_level, producer.compression_type
    if level is None:
        return
    options = ("compression_level", "compression_type")
    if codec not in LEVELS:
        yield origin.problem(options, f'compression_level is {level}, but compression_type "{codec}" has no levels; leave it out')
        return
    levels = LEVELS[codec]
    if not levels.allows(level):
        special = "" if levels.minimum <= levels.default <= levels.maximum else f", or {levels.default} for its default"
        yield origin.problem(
            options, f"compression_level is {level}, expected {levels.minimum} to {levels.maximum} for {codec}{special}"
        )


def _buffer(config: ClientOptions, producer: ProducerConfig, origin: _Origin) -> Iterator[Problem]:
    # The default batch size is no mistake of the user's: beside a smaller buffer it only means smaller
    # requests.
    loc = origin("batch_size_bytes")
    given = len(loc) > 1 or "batch_size_bytes" in config.model_fields_set
    if given and producer.batch_size_bytes > config.max_buffered_bytes:
        yield origin.problem(
            ("batch_size_bytes", "max_buffered_bytes"),
            f"batch_size_bytes ({producer.batch_size_bytes}) is more than max_buffered_bytes "
            f"({config.max_buffered_bytes}), so that no request could ever be full; "
            "lower batch_size_bytes, or raise max_buffered_bytes",
        )


_PRODUCER_CHECKS: tuple[Callable[[ClientOptions, ProducerConfig, _Origin], Iterator[Problem]], ...] = (
    _delivery_timeout,
    _retry_backoff,
    _idempotence,
    _compression_level,
    _buffer,
)


def _pool_timeouts(pool: TxnPoolConfig, origin: _Origin) -> Iterator[Problem]:
    delivery, request, transaction = pool.delivery_timeout_ms, pool.request_timeout_ms, pool.txn_timeout_ms
    if delivery < request:
        yield origin.problem(
            ("delivery_timeout_ms", "request_timeout_ms"),
            f"delivery_timeout_ms ({delivery}) is less than request_timeout_ms ({request}), so that a record could time out before "
            f"its first request does; raise delivery_timeout_ms to at least {request}, or lower request_timeout_ms",
        )
    if delivery > transaction:
        yield origin.problem(
            ("delivery_timeout_ms", "txn_timeout_ms"),
            f"delivery_timeout_ms ({delivery}) is more than the txn_timeout_ms ({transaction}) of the pool {pool.name!r}, so that "
            "the brokers would end a transaction whose records still are on their way; give the pool a delivery_timeout_ms of at "
            f"most {transaction}, or raise its txn_timeout_ms",
        )


_POOL_CHECKS: tuple[Callable[[TxnPoolConfig, _Origin], Iterator[Problem]], ...] = (_pool_timeouts, _backoff, _level)
