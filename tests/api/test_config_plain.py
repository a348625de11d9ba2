"""Configurations that are read without pydantic say what those say that are read with it, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from klife.api.config import ClientConfig, ProducerConfig
from klife.api.config.plain import OPTIONS, PRODUCER_OPTIONS, plain_config
from klife.api.settings import client_settings
from klife.errors import ConfigError

SERVERS = st.sampled_from(
    [
        "a:1",
        " a:1 , b:2,",
        "[::1]:9092",
        ["a:1", "b:2"],
        ("a:1",),
        "PLAINTEXT://a:1",
        "a",
        "a:0",
        "",
        [],
        ["a:1,b:2"],
        [" a:1"],
        [5],
        None,
        5,
        b"a:1",
    ]
)
COMING = {"allow_auto_create_topics", "unknown_topic_ms", "run_in"}
WORDS = ["all", "none", "gzip", "phash2", "raise", "restart", "block", "", "shop", "s" * 249, "s" * 250]
NUMBERS = [-1, 0, 1, 2, 5, 6, 999, 1_000, 1_001, 60_000, 2**31 - 1, 2**31, 2**63 - 1, 2**63]
OTHERS = [1.0, "5", (), [], {}, None, True, False]
VALUES = st.sampled_from([*(default for default, _ in OPTIONS.values()), *WORDS, *NUMBERS, *OTHERS]) | st.integers(0, 100_000)


def as_told(config: Any) -> str:
    """The settings of a client of that configuration, in which a `Principal` is an object that may change."""
    settings = client_settings(config, "shop")
    principals = {settings.connection.principal, *(producer.principal for producer in settings.producers)}
    told = repr(settings)
    for principal in principals:
        told = told.replace(repr(principal), str(principal))
    return told


def accepted(source: Any, options: dict[str, Any]) -> bool:
    """Whether the models have nothing against it."""
    try:
        ClientConfig.build(source, **options)
    except ConfigError:
        return False
    return True


def test_the_options_are_those_of_the_table_with_its_defaults() -> None:
    table = {name: field.default for name, field in ClientConfig.model_fields.items() if name != "bootstrap_servers"}
    assert {name: default for name, (default, _) in OPTIONS.items() if name not in COMING or name in table} == table
    assert set(PRODUCER_OPTIONS) == set(ProducerConfig.model_fields) - {"name"}


@given(servers=SERVERS, options=st.dictionaries(st.sampled_from([*OPTIONS, "lingr_ms"]), VALUES, max_size=5))
@example(servers="a:1", options={})
@example(servers="a:1", options={"acks": 1})
@example(servers="a:1", options={"acks": 1, "enable_idempotence": True})
@example(servers="a:1", options={"name": "{client}", "linger_ms": 5})
@settings(max_examples=300, deadline=None, derandomize=True)
def test_what_is_plain_is_what_the_models_make_of_it(servers: Any, options: dict[str, Any]) -> None:
    plain: Any = plain_config(servers, options)
    if plain is None:
        return
    config = ClientConfig.build(servers, **options)
    assert as_told(plain) == as_told(config)
    assert {name: getattr(plain, name) for name in ClientConfig.model_fields} == dict(config)


@pytest.mark.parametrize("option", [option for option, (_, plain) in OPTIONS.items() if plain])
def test_numbers_and_words_are_plain_up_to_where_the_table_ends(option: str) -> None:
    plain = OPTIONS[option][1]
    for value in (plain[0], plain[-1]):
        # Beside these no other option is in the way.
        given = {"enable_idempotence": False, "max_buffered_bytes": 2**63 - 1, "delivery_timeout_ms": 2**31 - 1, option: value}
        assert (plain_config("a:1", given) is not None) is accepted("a:1", given)
    if isinstance(plain, range):
        for beyond in (plain[0] - 1, plain[-1] + 1):
            assert plain_config("a:1", {option: beyond}) is None
            assert not accepted("a:1", {option: beyond})


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ({"bootstrap_servers": "a:1", "linger_ms": 5}, {"linger_ms": 7, "name": "shop"}),
        (None, {"bootstrap_servers": ["a:1"], "compression_type": "zstd"}),
        ("a:1", {"delivery_timeout_ms": 20_000, "request_timeout_ms": 5_000}),
    ],
)
def test_sources_that_are_plain(source: Any, options: dict[str, Any]) -> None:
    plain: Any = plain_config(source, options)
    assert as_told(plain) == as_told(ClientConfig.build(source, **options))


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("a:1", {"bootstrap_servers": "b:2"}),
        ("a:1", {"delivery_timeout_ms": 1_000}),
        ("a:1", {"reconnect_backoff_ms": 20_000}),
        ("a:1", {"max_in_flight_requests": 6}),
        ("a:1", {"max_buffered_bytes": 1_000, "batch_size_bytes": 1_001}),
        ("a:1", {"acks": True}),
        ("a:1", {5: 5}),
        (ClientConfig(bootstrap_servers="a:1"), {}),
        ("a:1", {"topics": [{"name": "orders"}]}),
    ],
)
def test_what_is_wrong_or_more_than_plain_is_the_models_business(source: Any, options: dict[str, Any]) -> None:
    assert plain_config(source, options) is None
