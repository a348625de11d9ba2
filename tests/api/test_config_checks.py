"""What must hold between options."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from klife.api.config import ClientConfig, ProducerConfig
from klife.errors import ConfigError
from klife.protocol.codecs import LEVELS

BROKER = "localhost:9092"


def problems(**options: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        ClientConfig.build(BROKER, **options)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"delivery_timeout_ms": 14_999}, ["delivery_timeout_ms: ", "(14999)", "linger_ms (0)", "(15000)", "at least 15000"]),
        ({"linger_ms": 50_000}, ["delivery_timeout_ms: ", "(60000)", "linger_ms (50000)", "at least 65000"]),
        (
            {"linger_ms": 5, "producers": [{"name": "a", "delivery_timeout_ms": 15_004}]},
            ["producers[0].delivery_timeout_ms: ", "(15004)", "linger_ms (5)", "at least 15005"],
        ),
        ({"producers": [{"name": "a", "linger_ms": 50_000}]}, ["producers[0].linger_ms: ", "delivery_timeout_ms (60000)"]),
        ({"retry_backoff_ms": 2_000}, ["retry_backoff_max_ms: ", "(1000)", "(2000)", "at least 2000"]),
        ({"producers": [{"name": "a", "retry_backoff_max_ms": 50}]}, ["producers[0].retry_backoff_max_ms: ", "(50)", "(100)"]),
        ({"reconnect_backoff_ms": 20_000}, ["reconnect_backoff_max_ms: ", "10000", "(20000)", "at least 20000"]),
        ({"acks": 1, "enable_idempotence": True}, ["acks: ", "is 1", 'acks="all"', "enable_idempotence=False"]),
        ({"acks": 0, "enable_idempotence": True}, ["acks: ", "is 0", 'acks="all"', "enable_idempotence=False"]),
        (
            {"acks": 1, "enable_idempotence": False, "producers": [{"name": "a", "enable_idempotence": True}]},
            ["producers[0].enable_idempotence: ", "acks is 1"],
        ),
        ({"max_in_flight_requests": 6}, ["max_in_flight_requests: ", "is 6", "1 to 5", "enable_idempotence=False"]),
        ({"producers": [{"name": "a", "max_in_flight_requests": 6}]}, ["producers[0].max_in_flight_requests: ", "is 6", "1 to 5"]),
        ({"compression_level": 3}, ["compression_level: ", "is 3", '"none" has no levels']),
        ({"compression_type": "snappy", "compression_level": 3}, ["compression_level: ", '"snappy" has no levels']),
        ({"compression_type": "gzip", "compression_level": 0}, ["compression_level: ", "is 0", "1 to 9 for gzip", "-1"]),
        ({"compression_type": "gzip", "compression_level": 10}, ["compression_level: ", "is 10", "1 to 9 for gzip"]),
        ({"compression_type": "lz4", "compression_level": 18}, ["compression_level: ", "is 18", "1 to 17 for lz4"]),
        ({"compression_type": "lz4", "compression_level": 0}, ["compression_level: ", "is 0", "1 to 17 for lz4"]),
        ({"compression_type": "zstd", "compression_level": 23}, ["compression_level: ", "is 23", "-131072 to 22 for zstd"]),
        (
            {"compression_level": 19, "compression_type": "zstd", "producers": [{"name": "a", "compression_type": "gzip"}]},
            ["producers[0].compression_type: ", "compression_level is 19", "gzip"],
        ),
        (
            {"batch_size_bytes": 2_000, "max_buffered_bytes": 1_000},
            ["batch_size_bytes: ", "(2000)", "max_buffered_bytes (1000)", "lower batch_size_bytes"],
        ),
        (
            {"producers": [{"name": "a", "batch_size_bytes": 2_000}], "max_buffered_bytes": 1_000},
            ["producers[0].batch_size_bytes: ", "(2000)"],
        ),
        ({"producers": [{"name": "a"}, {"name": "a"}]}, ["producers[1].name: ", "'a'", "producers[0].name", "another"]),
        ({"topics": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}, ["topics[2].name: ", "'a'", "topics[0].name"]),
        ({"default_producer": "a"}, ["default_producer: ", "no producer str 'a'", "'klife_default_producer'"]),
        (
            {"producers": [{"name": "orders"}], "default_producer": "order"},
            ["default_producer: ", "'order'", "did you mean 'orders'?"],
        ),
        ({"topics": [{"name": "t", "default_producer": "x"}]}, ["topics[0].default_producer: ", "'x'", "`producers`"]),
        (
            {
                "producers": [{"name": "a"}],
                "default_producer": "a",
                "topics": [{"name": "t", "default_producer": "klife_default_producer"}],
            },
            ["topics[0].default_producer: ", "'klife_default_producer'", "there are 'a'"],
        ),
        ({"disabled_features": ["producer"], "producers": [{"name": "a"}]}, ["producers: ", "disabled_features"]),
        ({"disabled_features": ["producer"], "default_producer": "a"}, ["default_producer: ", "disabled_features"]),
    ],
    ids=repr,
)
def test_options_that_do_not_go_together_are_refused_with_both_values_and_the_way_out(options: dict[str, Any], says: list[str]) -> None:
    found = problems(**options)
    assert len(found) == 1, found
    assert found[0].startswith(says[0])
    for part in says:
        assert part in found[0]


@pytest.mark.parametrize(
    "options",
    [
        {"delivery_timeout_ms": 15_000},
        {"delivery_timeout_ms": 15_005, "linger_ms": 5},
        {"retry_backoff_ms": 1_000},
        {"reconnect_backoff_ms": 10_000},
        {"acks": 1, "enable_idempotence": False},
        {"acks": 0, "enable_idempotence": False},
        {"acks": -1},
        {"max_in_flight_requests": 5},
        {"max_in_flight_requests": 6, "enable_idempotence": False},
        {"max_in_flight_requests": 1_000, "enable_idempotence": False},
        {"compression_type": "gzip", "compression_level": -1},
        {"compression_type": "gzip", "compression_level": 1},
        {"compression_type": "gzip", "compression_level": 9},
        {"compression_type": "lz4", "compression_level": 1},
        {"compression_type": "lz4", "compression_level": 17},
        {"compression_type": "zstd", "compression_level": -131_072},
        {"compression_type": "zstd", "compression_level": 22},
        {"compression_type": "snappy"},
        {"batch_size_bytes": 1_000, "max_buffered_bytes": 1_000},
        {"producers": [{"name": "a"}], "topics": [{"name": "a", "default_producer": "a"}, {"name": "b"}]},
        {"topics": [{"name": "t", "default_producer": "klife_default_producer"}]},
        {"disabled_features": ["txn_producer"], "producers": [{"name": "a"}]},
    ],
    ids=repr,
)
def test_what_is_just_allowed_is_allowed(options: dict[str, Any]) -> None:
    ClientConfig.build(BROKER, **options)


def test_a_buffer_smaller_than_the_default_batch_size_is_no_mistake() -> None:
    assert ClientConfig.build(BROKER, max_buffered_bytes=1_000).max_buffered_bytes == 1_000


def test_a_clients_mistake_is_told_once_however_many_producers_inherit_it() -> None:
    assert len(problems(acks=1, enable_idempotence=True, producers=[{"name": "a"}, {"name": "b"}])) == 1


def test_a_clients_default_that_every_producer_overrides_is_no_mistake() -> None:
    config = ClientConfig.build(
        BROKER,
        request_timeout_ms=90_000,
        producers=[{"name": "a", "delivery_timeout_ms": 100_000}],
        default_producer="a",
    )
    assert config.resolved_producers[0].delivery_timeout_ms == 100_000


def test_a_producer_listed_as_a_model_is_checked_as_one_listed_as_a_dict() -> None:
    assert problems(producers=[ProducerConfig(name="a", acks=1, enable_idempotence=True)])[0].startswith("producers[0].acks: ")


def test_pydantics_own_way_in_makes_the_same_checks() -> None:
    with pytest.raises(ValidationError, match="idempotence needs acks"):
        ClientConfig.model_validate({"bootstrap_servers": BROKER, "acks": 1, "enable_idempotence": True})


def test_acks_below_all_turn_idempotence_off_where_nobody_asked_for_it() -> None:
    config = ClientConfig(bootstrap_servers="k:9092", acks=1, producers=[{"name": "careful", "acks": "all"}])
    assert {producer.name: producer.enable_idempotence for producer in config.resolved_producers} == {
        "careful": True,
        config.default_producer_name: False,
    }


def test_the_options_text_tells_the_levels_that_there_are() -> None:
    told = ProducerConfig.model_fields["compression_level"].description
    assert told is not None
    for codec, levels in LEVELS.items():
        assert f"{codec} {levels.minimum} to {levels.maximum}" in told
