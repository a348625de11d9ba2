"""The configuration's models: defaults, what single options take, the ways to build one, and how errors read."""

from __future__ import annotations

import functools
import pickle
import ssl
import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from klife.actors.producer.partitioners import BUILT_IN
from klife.api.config import ClientConfig, ProducerConfig, SaslConfig, TlsConfig, TopicConfig, TxnPoolConfig
from klife.api.config.keywords import ClientKeywords, ProducerKeywords
from klife.api.config.option_types import PARTITIONER_NAMES
from klife.api.config.security_keywords import SaslKeywords, TlsKeywords
from klife.errors import ConfigError

BROKER = "localhost:9092"
TOPIC_OPTIONS = ("default_producer", "default_partitioner", "key_serializer", "value_serializer")


def problems(**options: Any) -> list[str]:
    """The lines about options over one good broker."""
    with pytest.raises(ConfigError) as caught:
        ClientConfig.build(**({"bootstrap_servers": BROKER} | options))
    return list(caught.value.problems)


def only_problem(**options: Any) -> str:
    found = problems(**options)
    assert len(found) == 1, found
    return found[0]


CLIENT_DEFAULTS: dict[str, Any] = {
    "name": None,
    "producers": (),
    "txn_pools": (),
    "topics": (),
    "default_producer": None,
    "default_partitioner": "murmur2",
    "default_txn_pool": None,
    "disabled_features": (),
    "metadata_max_age_ms": 300_000,
    "allow_auto_create_topics": True,
    "unknown_topic_ms": 5_000,
    "max_buffered_bytes": 33_554_432,
    "on_buffer_full": "block",
    "max_block_ms": 60_000,
    "on_fork": "restart",
    "run_in": "home",
    "tls": False,
    "sasl": None,
    "connect_timeout_ms": 10_000,
    "socket_options": (),
    "hooks": (),
    "connections_max_idle_ms": 540_000,
    "reconnect_backoff_ms": 50,
    "reconnect_backoff_max_ms": 10_000,
    "max_response_bytes": 104_857_600,
}
DELIVERY_DEFAULTS: dict[str, Any] = {
    "delivery_timeout_ms": 60_000,
    "request_timeout_ms": 15_000,
    "retry_backoff_ms": 100,
    "retry_backoff_max_ms": 1_000,
    "compression_type": "none",
    "compression_level": None,
}
PRODUCER_DEFAULTS: dict[str, Any] = DELIVERY_DEFAULTS | {
    "client_id": "klife_producer.{client}.{producer}",
    "acks": "all",
    "linger_ms": 0,
    "batch_size_bytes": 512_000,
    "max_in_flight_requests": 1,
    "batchers_count": 1,
    "enable_idempotence": True,
}
POOL_DEFAULTS: dict[str, Any] = DELIVERY_DEFAULTS | {
    "base_txn_id": "",
    "pool_size": 20,
    "txn_timeout_ms": 90_000,
    "checkout_timeout_ms": 5_000,
}


@pytest.mark.parametrize(
    ("config", "defaults"),
    [
        (ClientConfig.build(BROKER), CLIENT_DEFAULTS | PRODUCER_DEFAULTS | {"bootstrap_servers": (BROKER,)}),
        (ProducerConfig(name="a"), PRODUCER_DEFAULTS | {"name": "a"}),
        (TopicConfig(name="a"), {"name": "a"} | dict.fromkeys(TOPIC_OPTIONS)),
        (TxnPoolConfig(name="a"), POOL_DEFAULTS | {"name": "a"}),
        (
            SaslConfig(mechanism="PLAIN", username="u", password="p"),
            {"mechanism": "PLAIN", "username": "u", "password": SecretStr("p"), "token_provider": None},
        ),
        (TlsConfig(), {"ca_file": None, "cert_file": None, "key_file": None, "key_password": None, "check_hostname": True}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_option_has_the_documented_default_and_there_are_no_others(config: Any, defaults: dict[str, Any]) -> None:
    assert dict(config) == defaults


def test_editors_complete_every_option_and_no_other() -> None:
    assert set(ClientKeywords.__annotations__) == set(ClientConfig.model_fields)
    assert set(ProducerKeywords.__annotations__) == set(ProducerConfig.model_fields) - {"name"}
    assert set(TlsKeywords.__annotations__) == set(TlsConfig.model_fields)
    assert set(SaslKeywords.__annotations__) == set(SaslConfig.model_fields)


def test_partitioners_have_the_names_that_the_option_takes() -> None:
    assert set(PARTITIONER_NAMES) == set(BUILT_IN)


@pytest.mark.parametrize("model", [ClientConfig, ProducerConfig, TopicConfig, TxnPoolConfig, TlsConfig, SaslConfig])
def test_every_option_is_described_and_times_and_sizes_say_their_unit(model: Any) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name
        for ending, unit in (("_ms", "Milliseconds"), ("_bytes", "Bytes")):
            if name.endswith(ending):
                assert field.description.startswith(unit), name


@pytest.mark.parametrize(
    "source",
    [
        "a:1,b:2",
        " a:1 , b:2 ",
        "PLAINTEXT://a:1,plaintext://b:2",
        ["a:1", "b:2"],
        ("a:1", "b:2"),
        {"bootstrap_servers": "a:1,b:2"},
        {"bootstrap_servers": ["a:1", "b:2"]},
        ClientConfig.build("a:1,b:2"),
    ],
    ids=repr,
)
def test_a_configuration_is_built_from_servers_a_dict_or_another_configuration(source: Any) -> None:
    config = ClientConfig.build(source, linger_ms=5)
    assert config.bootstrap_servers == ("a:1", "b:2")
    assert config.bootstrap_addresses == (("a", 1), ("b", 2))
    assert config.linger_ms == 5


def test_a_configuration_is_built_from_keywords_alone_and_by_the_constructor_too() -> None:
    assert ClientConfig.build(bootstrap_servers=BROKER) == ClientConfig.build(BROKER)
    assert ClientConfig(bootstrap_servers=(BROKER,)) == ClientConfig.build(BROKER)


def test_options_override_those_of_the_source_and_leave_the_rest() -> None:
    base = ClientConfig.build(BROKER, linger_ms=5, acks="all")
    changed = ClientConfig.build(base, linger_ms=7, name="orders")
    assert (changed.linger_ms, changed.acks, changed.name) == (7, "all", "orders")
    assert base.linger_ms == 5
    assert ClientConfig.build({"bootstrap_servers": BROKER, "linger_ms": 5}, linger_ms=7).linger_ms == 7


def test_ipv6_addresses_stand_in_brackets() -> None:
    assert ClientConfig.build("[::1]:9092").bootstrap_addresses == (("::1", 9092),)


@pytest.mark.parametrize(
    ("source", "options", "says"),
    [
        (5, {}, ["int", "expected bootstrap servers"]),
        ({3: 4}, {}, ["an option's name is int", "expected str"]),
        (BROKER, {"bootstrap_servers": BROKER}, ["bootstrap_servers", "given twice"]),
        (None, {}, ["bootstrap_servers", "missing", "host:port"]),
    ],
    ids=repr,
)
def test_a_source_that_cannot_be_one_is_refused(source: Any, options: dict[str, Any], says: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        ClientConfig.build(source, **options)
    (problem,) = caught.value.problems
    for part in says:
        assert part in problem


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", ["bootstrap_servers: ", "an empty str", "at least one"]),
        ([], ["bootstrap_servers: ", "an empty list", "at least one"]),
        (None, ["bootstrap_servers: ", "None"]),
        (9092, ["bootstrap_servers: ", "int 9092", "host:port"]),
        ([BROKER, 9092], ["bootstrap_servers[1]", "int 9092", "host:port"]),
        ("localhost", ["bootstrap_servers[0]", "'localhost'", "add one, e.g. :9092"]),
        ("a:1,b", ["bootstrap_servers[1]", "'b'", ":9092"]),
        ("a:0", ["'a:0'", "1 to 65535"]),
        ("a:65536", ["'a:65536'", "1 to 65535"]),
        ("a:" + "9" * 50, ["1 to 65535"]),
        ("a:port", ["1 to 65535"]),
        ("a:", ["1 to 65535"]),
        (":9092", ["host name"]),
        ("a b:9092", ["host name"]),
        ("a..b:9092", ["host name", "nothing between two of its dots"]),
        (".a:9092", ["before the first"]),
        (f"{'a' * 64}.example:9092", ["longer than 63"]),
        ("::1:9092", ["in brackets"]),
        (["a:1,b:2"], ["bootstrap_servers[0]", "each an element of its own"]),
        ("[::1]", [":9092"]),
        ("[::1:9092", ["close the brackets"]),
        ("[::1]9092", ["1 to 65535"]),
        ("SSL://a:9092", ["tls"]),
        ("SASL_PLAINTEXT://a:9092", ["sasl"]),
        ("http://a:9092", ["leave the protocol out"]),
    ],
    ids=repr,
)
def test_a_wrong_bootstrap_address_is_named_with_what_to_do(value: Any, says: list[str]) -> None:
    problem = only_problem(bootstrap_servers=value)
    for part in says:
        assert part in problem


def test_every_wrong_bootstrap_address_has_its_line() -> None:
    found = problems(bootstrap_servers="a,b:1,c:x")
    assert [line.split(":")[0] for line in found] == [
        "bootstrap_servers[0]",
        "bootstrap_servers[2]",
    ]


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("linger_ms", "5", ["str '5'", "int from 0", "without quotes"]),
        ("linger_ms", 5.0, ["float 5.0", "whole number"]),
        ("linger_ms", True, ["bool True", "int"]),
        ("linger_ms", None, ["None", "int"]),
        ("linger_ms", -1, ["int -1", "from 0 to 2147483647"]),
        ("linger_ms", 2**31, ["int 2147483648", "from 0 to 2147483647"]),
        ("request_timeout_ms", 0, ["int 0", "from 1 to"]),
        ("retry_backoff_ms", 0, ["int 0", "from 1 to"]),
        ("batch_size_bytes", 0, ["int 0", "from 1 to"]),
        ("max_buffered_bytes", 0, ["int 0", "from 1 to"]),
        ("max_buffered_bytes", 2**63, [str(2**63), str(2**63 - 1)]),
        ("max_in_flight_requests", 0, ["int 0", "from 1 to"]),
        ("batchers_count", 0, ["int 0", "from 1 to"]),
        ("enable_idempotence", "true", ["str 'true'", "True or False", "write True"]),
        ("enable_idempotence", 0, ["int 0", "write False"]),
        ("acks", 2, ["int 2", "'all', 1, 0"]),
        ("acks", True, ["bool True", "'all', 1, 0"]),
        ("acks", 1.0, ["float 1.0", "'all', 1, 0"]),
        ("acks", "1", ["str '1'", "'all', 1, 0"]),
        ("compression_type", "brotli", ["str 'brotli'", "'zstd'"]),
        ("compression_level", "3", ["str '3'", "whole number", "or None", "without quotes"]),
        ("on_buffer_full", "drop", ["str 'drop'", "'block', 'raise'"]),
        ("name", "", ["an empty str", "1 to 249 characters"]),
        ("name", b"orders", ["got bytes,", "str"]),
        ("client_id", "{host}", ["'{host}'", "client or producer"]),
        ("client_id", "{client", ["'{client'", "close the braces"]),
        ("default_partitioner", "murmur3", ["'murmur3'", "'murmur2', 'phash2', 'crc32', 'random'"]),
        ("default_partitioner", 7, ["int 7", "partition(record, partition_count)"]),
        ("default_partitioner", None, ["None", "klife.Partitioner"]),
        ("disabled_features", "producer", ["str 'producer'", "a list of"]),
        ("socket_options", [(1, 2)], ["socket_options[0]", "(level, option, value)"]),
        ("producers", {"name": "a"}, ["producers: ", "dict", "a list of producers"]),
        ("topics", "events", ["topics: ", "str 'events'", "a list of topics"]),
    ],
)
def test_a_wrong_value_is_told_with_its_type_and_what_is_expected(option: str, value: Any, says: list[str]) -> None:
    problem = only_problem(**{option: value})
    assert problem.startswith(option)
    for part in says:
        assert part in problem


def test_a_number_too_long_to_print_is_told_by_its_type() -> None:
    assert only_problem(linger_ms=10**5000) == "linger_ms: got int, expected an int from 0 to 2147483647"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"producers": [{"name": "a"}, {"name": "b", "acks": 7}]}, ["producers[1].acks", "int 7"]),
        ({"producers": [{"linger_ms": 5}]}, ["producers[0].name", "missing"]),
        ({"producers": [7]}, ["producers[0]", "int", "dict", "ProducerConfig"]),
        ({"producers": [{"name": "a", "linger": 5}]}, ["producers[0].linger", "unknown", "linger_ms"]),
        ({"producers": [{"name": "a", "max_block_ms": 5}]}, ["producers[0].max_block_ms", "option of the client"]),
        ({"topics": [{"name": "a/b"}]}, ["topics[0].name", "'a/b'", "characters"]),
        ({"topics": [{"name": "."}]}, ["topics[0].name", "'.'"]),
        ({"topics": [{"name": "t", "default_partitioner": "x"}]}, ["topics[0].default_partitioner", "'x'", "or None"]),
        ({"disabled_features": ["consumer"]}, ["disabled_features[0]", "'consumer'", "'txn_producer'"]),
    ],
    ids=repr,
)
def test_an_error_inside_a_list_has_its_full_path(options: dict[str, Any], says: list[str]) -> None:
    problem = only_problem(**options)
    for part in says:
        assert part in problem


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("linger", "linger_ms"),
        ("lingerms", "linger_ms"),
        ("Linger_MS", "linger_ms"),
        ("bootstrap_server", "bootstrap_servers"),
        ("idempotence_enable", "the options are"),
        ("linger.ms", "Kafka's name for linger_ms"),
        ("queue.buffering.max.ms", "Kafka's name for linger_ms"),
        ("max.in.flight", "Kafka's name for max_in_flight_requests"),
    ],
)
def test_an_unknown_option_says_what_was_probably_meant(given: str, meant: str) -> None:
    problem = only_problem(**{given: 5})
    assert problem.startswith(f"{given}: unknown option")
    assert meant in problem


def test_models_built_alone_raise_the_same_error() -> None:
    with pytest.raises(ConfigError) as caught:
        ProducerConfig(name="a", acks=7, linger="x")
    assert [line.split(":")[0] for line in caught.value.problems] == ["acks", "linger"]


def test_one_error_lists_everything_wrong_cross_checks_included() -> None:
    found = problems(
        bootstrap_servers="localhost",
        linger="5",
        max_block_ms="5",
        max_in_flight_requests=6,
        producers=[{"name": "a", "acks": 7}, {"nam": "b"}, {"name": "c", "delivery_timeout_ms": 5}, {"name": "c"}],
        sasl={"mechanism": "PLAIN"},
    )
    assert sorted(line.split(":")[0] for line in found) == [
        "bootstrap_servers[0]",
        "linger",
        "max_block_ms",
        "max_in_flight_requests",
        "producers[0].acks",
        "producers[1].nam",
        "producers[1].name",
        "producers[2].delivery_timeout_ms",
        "producers[3].name",
        "sasl.password",
        "sasl.username",
    ]


def test_what_rests_on_a_wrong_option_is_not_told_as_a_second_mistake() -> None:
    assert "producers[0].name" in only_problem(producers=[{"name": 5}], default_producer="orders")
    assert "linger_ms" in only_problem(linger_ms="70000", delivery_timeout_ms=15_000)


class EveryThird:
    def partition(self, record: object, partition_count: int) -> int:
        return 2 % partition_count


class Weighted(EveryThird):
    def __init__(self, weights: list[int]) -> None:
        self.weights = weights


def test_a_partitioner_is_a_name_an_object_or_a_class() -> None:
    instance = Weighted([1])
    assert ClientConfig.build(BROKER, default_partitioner="phash2").default_partitioner == "phash2"
    assert ClientConfig.build(BROKER, default_partitioner=instance).default_partitioner is instance
    assert isinstance(ClientConfig.build(BROKER, default_partitioner=EveryThird).default_partitioner, EveryThird)
    assert ClientConfig.build(BROKER, topics=[{"name": "t", "default_partitioner": instance}]).topics[0].default_partitioner is instance
    assert "give an instance" in only_problem(default_partitioner=Weighted)


async def coroutine(value: Any) -> bytes:
    return b""


class Coroutine:
    async def __call__(self, value: Any) -> bytes:
        return b""


def needs_three(value: Any, context: Any, schema: Any) -> bytes:
    return b""


def needs_a_keyword(value: Any, *, schema: Any) -> bytes:
    return b""


@pytest.mark.parametrize(
    ("serializer", "says"),
    [
        (bytes, "it is a class; give an object of it"),
        (coroutine, "it is a coroutine function"),
        (functools.partial(coroutine), "it is a coroutine function"),
        (Coroutine(), "it is a coroutine function"),
        (needs_three, "it needs 3 arguments"),
        (needs_a_keyword, "it can not be called without schema=...; give those by functools.partial"),
        (lambda: b"", "it takes no value"),
        ("json", "it can not be called"),
    ],
)
@pytest.mark.parametrize("option", ["key_serializer", "value_serializer"])
def test_what_serialises_nothing_is_refused(option: str, serializer: Any, says: str) -> None:
    line = only_problem(topics=[{"name": "t", option: serializer}])
    assert line.startswith(f"topics[0].{option}: got ")
    assert "expected a callable f(value) or f(value, context) that returns bytes" in line
    assert says in line
    TopicConfig(name="t", **{option: functools.partial(needs_a_keyword, schema=1)})


def test_acks_minus_one_is_all() -> None:
    assert ClientConfig.build(BROKER, acks=-1).acks == "all"


def test_lists_may_be_lists_and_are_kept_as_tuples() -> None:
    config = ClientConfig.build(
        BROKER, disabled_features={"txn_producer"}, socket_options=[(1, 2, 3), [1, 2, b"x"]], topics=[TopicConfig(name="t")]
    )
    assert config.disabled_features == ("txn_producer",)
    assert config.socket_options == ((1, 2, 3), (1, 2, b"x"))
    assert config.topics == (TopicConfig(name="t"),)


def test_a_configuration_cannot_be_changed() -> None:
    config = ClientConfig.build(BROKER, producers=[{"name": "a"}])
    for target in (config, config.producers[0]):
        with pytest.raises(ValueError, match="frozen"):
            target.linger_ms = 5
    assert isinstance(config.producers, tuple)
    assert hash(config) == hash(ClientConfig.build(BROKER, producers=[{"name": "a"}]))


def test_a_configuration_survives_pickling() -> None:
    config = ClientConfig.build(BROKER, linger_ms=5, producers=[{"name": "a"}])
    copy = pickle.loads(pickle.dumps(config))
    assert copy == config
    assert copy.resolved_producers == config.resolved_producers


# producers


def test_with_nothing_listed_there_is_the_default_producer() -> None:
    config = ClientConfig.build(BROKER, name="orders")
    (producer,) = config.resolved_producers
    assert producer.name == config.default_producer_name == "klife_default_producer"
    assert producer.client_id == "klife_producer.orders.klife_default_producer"


@pytest.mark.parametrize(
    ("options", "names", "default"),
    [
        ({"producers": [{"name": "a"}]}, ["a", "klife_default_producer"], "klife_default_producer"),
        ({"producers": [{"name": "a"}, {"name": "b"}], "default_producer": "b"}, ["a", "b"], "b"),
        ({"producers": [{"name": "klife_default_producer"}]}, ["klife_default_producer"], "klife_default_producer"),
        ({"default_producer": "klife_default_producer"}, ["klife_default_producer"], "klife_default_producer"),
        ({"disabled_features": ["producer"]}, [], "klife_default_producer"),
    ],
    ids=repr,
)
def test_the_default_producer_is_made_unless_a_listed_one_takes_its_place(options: Any, names: list[str], default: str) -> None:
    config = ClientConfig.build(BROKER, **options)
    assert [producer.name for producer in config.resolved_producers] == names
    assert config.default_producer_name == default


def test_a_producers_option_at_the_client_is_the_default_of_all_and_a_producer_overrides_it() -> None:
    config = ClientConfig.build(
        BROKER,
        name="orders",
        linger_ms=5,
        compression_type="zstd",
        client_id="me-{producer}",
        producers=[{"name": "a", "linger_ms": 0, "client_id": "{client}"}, ProducerConfig(name="b", acks="all")],
    )
    a, b, default = config.resolved_producers
    assert (a.linger_ms, b.linger_ms, default.linger_ms) == (0, 5, 5)
    assert {producer.compression_type for producer in (a, b, default)} == {"zstd"}
    assert (a.client_id, b.client_id) == ("orders", "me-b")
    assert default.client_id == "me-klife_default_producer"


def test_a_name_with_braces_is_taken_as_it_is() -> None:
    assert ClientConfig.build(BROKER, name="{x}", client_id="{client}").resolved_producers[0].client_id == "{x}"


# secrets

SECRET = "hunter2-very-secret"


@pytest.mark.parametrize(
    "options",
    [
        {"sasl": {"mechanism": "PLAIN", "password": SECRET}},
        {"sasl": {"mechanism": "PLAIN", "passwort": SECRET}},
        {"sasl": SECRET},
        {"sasl_password": SECRET},
        {"password": SECRET},
        {"tls": {"key_password": SECRET}},
        {"tls": SECRET},
        {"producers": [{"name": "a", "password": SECRET}]},
        {"producers": [SECRET]},
        {"bootstrap_servers": f"user:{SECRET}@localhost"},
        {"socket_options": {"password": SECRET}},
        {"linger_ms": {"password": SECRET}},
    ],
    ids=str,
)
def test_an_error_never_shows_what_may_be_a_secret(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        ClientConfig.build(**({"bootstrap_servers": BROKER} | options))
    shown = [str(caught.value), repr(caught.value), *traceback.format_exception(caught.value)]
    error: BaseException | None = caught.value.__context__
    while error is not None:
        shown.append(str(error))
        error = error.__context__
    assert not any(SECRET in text for text in shown)


def test_passwords_are_not_in_the_repr_of_what_holds_them() -> None:
    sasl = SaslConfig(mechanism="PLAIN", username="u", password=SECRET)
    tls = TlsConfig(ca_file=Path("/ca.pem"), cert_file="/c.pem", key_password=SECRET)
    assert isinstance(sasl.password, SecretStr)
    assert isinstance(tls.key_password, SecretStr)
    assert sasl.password.get_secret_value() == tls.key_password.get_secret_value() == SECRET
    assert tls.ca_file == "/ca.pem"
    for text in (repr(sasl), str(sasl), repr(tls), str(tls)):
        assert SECRET not in text


def test_settings_of_tls_are_explained_like_all_others() -> None:
    assert "did you mean ca_file?" in only_problem(tls={"ca_fil": "/ca.pem"})
    assert only_problem(tls={"ca_file": 5}) == "tls.ca_file: got int, expected a path, str or os.PathLike, or None"
    config = ClientConfig.build(BROKER, tls={"ca_file": "/ca.pem"})
    assert config.tls == TlsConfig(ca_file="/ca.pem")
    context = ssl.create_default_context()
    assert ClientConfig.build(BROKER, tls=context).tls is context


def test_a_wrong_secret_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError) as caught:
        SaslConfig(mechanism="PLAIN", password=1234567)
    assert "password: got int, expected a str, or None" in caught.value.problems[0]
