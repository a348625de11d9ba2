"""What must hold of pools of transactions, and what the actors are given of them."""

from __future__ import annotations

from typing import Any

import pytest

from klife.api.config import ClientConfig, TxnPoolConfig
from klife.api.settings import client_settings
from klife.errors import ConfigError

BROKER = "localhost:9092"


def problems(**options: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        ClientConfig.build(BROKER, **options)
    return list(caught.value.problems)


def pool(**options: Any) -> dict[str, Any]:
    return {"txn_pools": [{"name": "a", **options}]}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (pool(pool_size=0), ["txn_pools[0].pool_size: ", "0", "1 to 10000"]),
        (pool(txn_timeout_ms=59_999), ["txn_pools[0].txn_timeout_ms: ", "(59999)", "delivery_timeout_ms (60000)", "'a'"]),
        (
            pool(delivery_timeout_ms=90_001),
            ["txn_pools[0].delivery_timeout_ms: ", "(90001)", "txn_timeout_ms (90000)", "at most 90000"],
        ),
        (pool(delivery_timeout_ms=14_999), ["txn_pools[0].delivery_timeout_ms: ", "(14999)", "(15000)", "at least 15000"]),
        (pool(retry_backoff_max_ms=50), ["txn_pools[0].retry_backoff_max_ms: ", "(50)", "(100)"]),
        (pool(compression_level=3), ["txn_pools[0].compression_level: ", '"none" has no levels']),
        (pool() | {"delivery_timeout_ms": 120_000}, ["delivery_timeout_ms: ", "(120000)", "give the pool a delivery_timeout_ms"]),
        ({"txn_pools": [{"name": "a"}, {"name": "a"}]}, ["txn_pools[1].name: ", "'a'", "txn_pools[0].name"]),
        (
            {"txn_pools": [{"name": "a", "base_txn_id": "x"}, {"name": "b", "base_txn_id": "x"}]},
            ["txn_pools[1].base_txn_id: ", "'x'", "txn_pools[0].base_txn_id", "fence each other"],
        ),
        ({"default_txn_pool": "a"}, ["default_txn_pool: ", "no pool str 'a'", "`txn_pools`", "there are none"]),
        (
            {"txn_pools": [{"name": "orders"}], "default_txn_pool": "order"},
            ["default_txn_pool: ", "'order'", "did you mean 'orders'?"],
        ),
        ({"txn_pools": [{"name": "a"}], "default_txn_pool": "xyz"}, ["default_txn_pool: ", "'xyz'", "there are 'a'"]),
        (pool() | {"disabled_features": ["txn_producer"]}, ["txn_pools: ", '"txn_producer" is in disabled_features']),
        (
            {"default_txn_pool": "a", "disabled_features": ["txn_producer"]},
            ["default_txn_pool: ", '"txn_producer" is in disabled_features'],
        ),
    ],
    ids=repr,
)
def test_what_does_not_go_together_is_refused_with_both_values_and_the_way_out(options: dict[str, Any], says: list[str]) -> None:
    found = problems(**options)
    assert len(found) == 1, found
    assert found[0].startswith(says[0])
    for part in says:
        assert part in found[0]


def test_everything_wrong_is_told_at_once() -> None:
    found = problems(txn_pools=[{"name": "a", "pool_size": 0}, {"name": "b", "txn_timeout_ms": 1_000}], linger_ms="5")
    assert sorted(problem.split(":")[0] for problem in found) == ["linger_ms", "txn_pools[0].pool_size", "txn_pools[1].txn_timeout_ms"]


@pytest.mark.parametrize(
    "options",
    [
        pool(delivery_timeout_ms=90_000),
        pool(delivery_timeout_ms=15_000, txn_timeout_ms=15_000),
        pool(delivery_timeout_ms=90_000) | {"delivery_timeout_ms": 120_000},
        pool(checkout_timeout_ms=0, pool_size=1),
        {"txn_pools": [{"name": "a"}, {"name": "b"}], "default_txn_pool": "b"},
        {"txn_pools": [TxnPoolConfig(name="a", base_txn_id="x"), TxnPoolConfig(name="b", base_txn_id="y")]},
        pool() | {"disabled_features": ["producer"]},
    ],
    ids=repr,
)
def test_what_is_just_allowed_is_allowed(options: dict[str, Any]) -> None:
    ClientConfig.build(BROKER, **options)


def test_the_actors_are_given_seconds_and_a_producer_as_transactions_want_it() -> None:
    config = ClientConfig.build(
        BROKER,
        name="shop",
        acks=1,
        linger_ms=5,
        batch_size_bytes=1_000,
        compression_type="gzip",
        request_timeout_ms=9_000,
        txn_pools=[{"name": "money", "base_txn_id": "m", "pool_size": 3, "txn_timeout_ms": 70_000, "request_timeout_ms": 8_000}],
    )
    settings = client_settings(config, "shop")
    (found,) = settings.txn_pools
    assert (found.name, found.base_txn_id, found.pool_size) == ("money", "m", 3)
    assert (found.txn_timeout, found.checkout_timeout) == (70.0, 5.0)
    producer = found.producer
    assert (producer.acks, producer.idempotent, producer.linger, producer.batchers_count) == (-1, True, 0.0, 1)
    assert (producer.batch_size_bytes, producer.request_timeout, producer.delivery_timeout) == (1_000, 8.0, 60.0)
    assert producer.codec == settings.producers[0].codec != 0
    assert producer.client_id == "klife_producer.shop.money"


@pytest.mark.parametrize(("default", "name"), [({}, "a"), ({"default_txn_pool": "b"}, "b")])
def test_the_pool_of_transactions_that_name_none(default: dict[str, Any], name: str) -> None:
    config = ClientConfig.build(BROKER, txn_pools=[{"name": "a"}, {"name": "b"}], **default)
    assert client_settings(config, "c").default_txn_pool == name


@pytest.mark.parametrize("options", [{}, {"disabled_features": ["txn_producer"]}])
def test_without_pools_there_is_none(options: dict[str, Any]) -> None:
    settings = client_settings(ClientConfig.build(BROKER, **options), "c")
    assert (settings.txn_pools, settings.default_txn_pool) == ((), None)
