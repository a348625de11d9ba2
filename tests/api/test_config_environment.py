"""`ClientConfig.from_env`: options from environment variables."""

from __future__ import annotations

from typing import Any

import pytest

from klife.api.config import ClientConfig, SaslConfig, TlsConfig
from klife.errors import ConfigError

BROKER = {"KLIFE_BOOTSTRAP_SERVERS": "localhost:9092"}


def problems(variables: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        ClientConfig.from_env(environ=BROKER | variables)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("variable", "text", "option", "read"),
    [
        ("KLIFE_BOOTSTRAP_SERVERS", "a:1, b:2", "bootstrap_servers", ("a:1", "b:2")),
        ("KLIFE_NAME", "orders", "name", "orders"),
        ("KLIFE_NAME", "5", "name", "5"),
        ("KLIFE_LINGER_MS", "5", "linger_ms", 5),
        ("KLIFE_ACKS", "all", "acks", "all"),
        ("KLIFE_ACKS", "-1", "acks", "all"),
        ("KLIFE_ENABLE_IDEMPOTENCE", "False", "enable_idempotence", False),
        ("KLIFE_COMPRESSION_TYPE", "zstd", "compression_type", "zstd"),
        ("KLIFE_DEFAULT_PARTITIONER", "phash2", "default_partitioner", "phash2"),
        ("KLIFE_ON_BUFFER_FULL", "raise", "on_buffer_full", "raise"),
        ("KLIFE_DISABLED_FEATURES", "txn_producer", "disabled_features", ("txn_producer",)),
        ("KLIFE_DISABLED_FEATURES", "", "disabled_features", ()),
        ("KLIFE_SOCKET_OPTIONS", "[[1, 2, 3]]", "socket_options", ((1, 2, 3),)),
        ("KLIFE_TLS", "false", "tls", False),
        ("KLIFE_TLS", "True", "tls", True),
        ("KLIFE_TLS", '{"ca_file": "/ca.pem"}', "tls", TlsConfig(ca_file="/ca.pem")),
        (
            "KLIFE_SASL",
            '{"mechanism": "PLAIN", "username": "u", "password": "p"}',
            "sasl",
            SaslConfig(mechanism="PLAIN", username="u", password="p"),
        ),
    ],
)
def test_a_variable_sets_the_option_of_its_name(variable: str, text: str, option: str, read: Any) -> None:
    got = getattr(ClientConfig.from_env(environ=BROKER | {variable: text}), option)
    assert (got, type(got)) == (read, type(read))


def test_a_level_of_compression_is_read_as_a_number() -> None:
    config = ClientConfig.from_env(environ=BROKER | {"KLIFE_COMPRESSION_TYPE": "zstd", "KLIFE_COMPRESSION_LEVEL": "-5"})
    assert config.compression_level == -5


def test_producers_and_topics_are_json() -> None:
    config = ClientConfig.from_env(
        environ=BROKER
        | {
            "KLIFE_PRODUCERS": '[{"name": "a", "linger_ms": 5}]',
            "KLIFE_TOPICS": '[{"name": "t", "default_producer": "a"}]',
        }
    )
    assert config.producers[0].linger_ms == 5
    assert config.topics[0].default_producer == "a"


def test_the_process_environment_is_read_unless_another_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_KAFKA_BOOTSTRAP_SERVERS", "a:1")
    monkeypatch.setenv("APP_KAFKA_LINGER_MS", "5")
    assert ClientConfig.from_env("APP_KAFKA_") == ClientConfig.build("a:1", linger_ms=5)


def test_other_variables_and_the_reserved_ones_are_passed_over() -> None:
    others = {"PATH": "/bin", "LINGER_MS": "7", "klife_linger_ms": "7", "KLIFE_TEST_BOOTSTRAP": "x", "KLIFE_PURE": "1"}
    assert ClientConfig.from_env(environ=BROKER | others) == ClientConfig.build("localhost:9092")


@pytest.mark.parametrize("service", ["KLIFE", "KLIFE_WEB", "APP_KAFKA"])
@pytest.mark.parametrize("address", ["10.96.0.17", "fd00:10:96::a1"])
def test_what_kubernetes_tells_of_a_service_of_that_name_is_passed_over(service: str, address: str) -> None:
    url = f"tcp://[{address}]:9092" if ":" in address else f"tcp://{address}:9092"
    told = {
        f"{service}_SERVICE_HOST": address,
        f"{service}_SERVICE_PORT": "9092",
        f"{service}_SERVICE_PORT_KAFKA": "9092",
        f"{service}_SERVICE_PORT_METRICS_2": "9102",
        f"{service}_PORT": url,
        f"{service}_PORT_9092_TCP": url,
        f"{service}_PORT_9092_TCP_PROTO": "tcp",
        f"{service}_PORT_9092_TCP_PORT": "9092",
        f"{service}_PORT_9092_TCP_ADDR": address,
        f"{service}_PORT_53_UDP": "udp://10.96.0.17:53",
        f"{service}_PORT_53_UDP_PROTO": "udp",
    }
    prefix = "APP_KAFKA_" if service == "APP_KAFKA" else "KLIFE_"
    options = {f"{prefix}BOOTSTRAP_SERVERS": "localhost:9092", f"{prefix}LINGER_MS": "5"}
    assert ClientConfig.from_env(prefix, environ=told | options) == ClientConfig.build("localhost:9092", linger_ms=5)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("KLIFE_PORT", "9092"),
        ("KLIFE_PORT", "localhost:9092"),
        ("KLIFE_SERVICE_HOST", "kafka.example"),
        ("KLIFE_SERVICE_PORT", "https"),
        ("KLIFE_PORTS", "tcp://10.0.0.1:9092"),
        ("KLIFE_PORT_9092_TCP_HOST", "10.0.0.1"),
        ("KLIFE_PORT_9092_TCP_PROTO", "5"),
        ("KLIFE_MAX_BLOCK", "9092"),
        ("KLIFE_SERVICE_HOSTS", "10.0.0.1"),
    ],
)
def test_what_only_resembles_it_is_an_unknown_variable(variable: str, text: str) -> None:
    assert problems({variable: text})[0].startswith(f"{variable}: unknown variable")


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"KLIFE_LINGER_MS": "soon"}, ["linger_ms (given as KLIFE_LINGER_MS)", "str 'soon'", "int from 0"]),
        ({"KLIFE_LINGER_MS": "5.0"}, ["linger_ms (given as KLIFE_LINGER_MS)", "str '5.0'", "int"]),
        ({"KLIFE_LINGER_MS": ""}, ["linger_ms (given as KLIFE_LINGER_MS)", "an empty str", "int"]),
        ({"KLIFE_LINGER_MS": "9" * 5000}, ["linger_ms (given as KLIFE_LINGER_MS)", "got str,", "int"]),
        ({"KLIFE_LINGER_MS": "-1"}, ["linger_ms (given as KLIFE_LINGER_MS)", "int -1"]),
        ({"KLIFE_BOOTSTRAP_SERVERS": "a:1,b"}, ["bootstrap_servers[1] (given as KLIFE_BOOTSTRAP_SERVERS)", "'b'", ":9092"]),
        ({"KLIFE_BOOTSTRAP_SERVERS": ""}, ["bootstrap_servers (given as KLIFE_BOOTSTRAP_SERVERS)", "at least one"]),
        ({"KLIFE_LINGER": "5"}, ["KLIFE_LINGER: unknown variable", "did you mean KLIFE_LINGER_MS?"]),
        ({"KLIFE_linger_ms": "5"}, ["KLIFE_linger_ms: unknown variable", "did you mean KLIFE_LINGER_MS?"]),
        ({"KLIFE_ZZZ": "5"}, ["KLIFE_ZZZ: unknown variable", "in capitals"]),
        ({"KLIFE_PRODUCERS": "orders"}, ["producers (given as KLIFE_PRODUCERS)", "expected JSON", "character 1"]),
        ({"KLIFE_PRODUCERS": '{"name": "a"}'}, ["producers (given as KLIFE_PRODUCERS)", "dict", "a list of producers"]),
        ({"KLIFE_PRODUCERS": '[{"name": "a", "acks": 7}]'}, ["producers[0].acks (given as KLIFE_PRODUCERS)", "int 7"]),
        ({"KLIFE_TLS": "yes"}, ["tls (given as KLIFE_TLS)", "expected JSON"]),
        ({"KLIFE_TLS": '{"ca": "/ca.pem"}'}, ["tls.ca (given as KLIFE_TLS)", "unknown option of TlsConfig", "ca_file"]),
        ({"KLIFE_SASL": "PLAIN"}, ["sasl (given as KLIFE_SASL)", "expected JSON"]),
        ({"KLIFE_SASL": '{"mechanism": "PLAIN", "username": "u"}'}, ["sasl.password (given as KLIFE_SASL)", "missing"]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_cannot_be_read_names_the_option_and_the_variable(variables: dict[str, str], says: list[str]) -> None:
    found = problems(variables)
    assert len(found) == 1, found
    for part in says:
        assert part in found[0]


def test_everything_wrong_comes_in_one_error() -> None:
    found = problems(
        {"KLIFE_LINGER": "5", "KLIFE_ACKS": "1", "KLIFE_ENABLE_IDEMPOTENCE": "true", "KLIFE_PRODUCERS": "[", "KLIFE_MAX_BLOCK_MS": "x"}
    )
    assert sorted(line.split(" ")[0].rstrip(":") for line in found) == ["KLIFE_LINGER", "acks", "max_block_ms", "producers"]


def test_text_that_is_not_json_is_not_shown_for_it_may_hold_a_secret() -> None:
    with pytest.raises(ConfigError) as caught:
        ClientConfig.from_env(environ=BROKER | {"KLIFE_SASL": '{"password": "hunter2"', "KLIFE_PASSWORD": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_an_empty_prefix_is_refused() -> None:
    with pytest.raises(ConfigError, match="prefix"):
        ClientConfig.from_env("", environ={})
