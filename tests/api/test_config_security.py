"""The options tls and sasl: which settings go together, and what the actors get of them."""

from __future__ import annotations

import copy
import pickle
import ssl
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from klife import Client
from klife.api.config import ClientConfig, SaslConfig, TlsConfig
from klife.api.settings import client_settings
from klife.errors import ConfigError

BROKER = "localhost:9092"
SECRET = "hunter2-very-secret"
WAYS: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]


class Own:
    """A mechanism as a user may write one."""

    name = "X-OWN"

    def exchange(self, host: str) -> None: ...

    def __repr__(self) -> str:
        return SECRET


def token() -> str:
    return SECRET


def problems(**options: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        ClientConfig.build(BROKER, **options)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("sasl", "says"),
    [
        ({"mechanism": "PLAIN"}, [["sasl.username: missing", "PLAIN"], ["sasl.password: missing", "PLAIN"]]),
        ({"mechanism": "SCRAM-SHA-256", "username": "u"}, [["sasl.password: missing", "SCRAM-SHA-256"]]),
        ({"mechanism": "SCRAM-SHA-512", "password": SECRET}, [["sasl.username: missing"]]),
        (
            {"mechanism": "PLAIN", "username": "", "password": ""},
            [["sasl.username: is empty"], ["sasl.password: is empty", "variable"]],
        ),
        (
            {"mechanism": "PLAIN", "username": "u", "password": SECRET, "token_provider": token},
            [["sasl.token_provider: given", "leave it out", "OAUTHBEARER"]],
        ),
        ({"mechanism": "OAUTHBEARER"}, [["sasl.token_provider: missing", "ClientCredentials"]]),
        (
            {"mechanism": "OAUTHBEARER", "token_provider": token, "username": "u", "password": SECRET},
            [["sasl.username: given", "leave it out"], ["sasl.password: given", "leave it out"]],
        ),
        ({"mechanism": Own(), "username": "u"}, [["sasl.username: given", "mechanism of your own", "leave it out"]]),
        ({"mechanism": "SCRAM-SHA-256", "username": "jürgen", "password": "p"}, [["sasl.username: ", "ASCII", "SCRAM-SHA-256"]]),
        ({"mechanism": "SCRAM-SHA-512", "username": "a\0b", "password": "p"}, [["sasl.username: ", "NUL"]]),
        ({"mechanism": "PLAIN", "username": "a\0b", "password": "p"}, [["sasl.username: ", "NUL"]]),
        ({"mechanism": "PLAIN", "username": "u", "password": f"{SECRET}\0"}, [["sasl.password: ", "NUL"]]),
        ({"mechanism": "SCRAM-SHA-512", "username": "u", "password": f"{SECRET}\ud800"}, [["sasl.password: ", "surrogate"]]),
        ({"mechanism": "scram_sha_512"}, [["sasl.mechanism: ", "did you mean 'SCRAM-SHA-512'?"]]),
        ({"mechanism": "AWS_MSK_IAM"}, [["sasl.mechanism: ", "OAUTHBEARER with Amazon's signer", "docs/security.md"]]),
        ({"mechanism": "GSSAPI"}, [["sasl.mechanism: ", "no Kerberos"]]),
        ({"mechanism": "DIGEST-MD5"}, [["sasl.mechanism: ", "'PLAIN', 'SCRAM-SHA-256'", "no mechanism of that name"]]),
        ({"mechanism": Own}, [["sasl.mechanism: ", "an instance"]]),
        ({"mechanism": object()}, [["sasl.mechanism: got object", "exchange(host)"]]),
        ({"mechanism": None}, [["sasl.mechanism: got None", "'PLAIN'"]]),
        ({}, [["sasl.mechanism: missing", "'PLAIN'"]]),
        ({"mechanism": "OAUTHBEARER", "token_provider": SECRET}, [["sasl.token_provider: got str", "callable"]]),
        (SECRET, [["sasl: got str", "SaslConfig"]]),
    ],
    ids=repr,
)
def test_what_a_mechanism_needs_is_asked_for_and_what_it_does_not_take_is_refused(sasl: Any, says: list[list[str]]) -> None:
    found = problems(sasl=sasl)
    assert len(found) == len(says), found
    for problem, parts in zip(found, says, strict=True):
        for part in parts:
            assert part in problem
    assert SECRET not in "".join(found)


@pytest.mark.parametrize(
    ("tls", "says"),
    [
        ({"key_file": "/key.pem"}, ["tls.key_file: ", "without cert_file"]),
        ({"key_file": "/key.pem", "key_password": SECRET}, ["tls.key_file: ", "without cert_file"]),
        ({"key_password": SECRET}, ["tls.key_password: ", "without a key"]),
        ({"check_hostname": "no"}, ["tls.check_hostname: got str", "True or False"]),
        ("/ca.pem", ["tls: got str", "a TlsConfig or an ssl.SSLContext"]),
    ],
    ids=repr,
)
def test_settings_of_tls_that_do_not_go_together_are_refused(tls: Any, says: list[str]) -> None:
    [problem] = problems(tls=tls)
    for part in says:
        assert part in problem
    assert SECRET not in problem


@pytest.mark.parametrize(
    "options",
    [
        {"tls": True},
        {"tls": {}},
        {"tls": {"cert_file": "/both.pem"}},
        {"tls": {"cert_file": "/both.pem", "key_password": SECRET}},
        {"tls": {"cert_file": Path("/c.pem"), "key_file": Path("/k.pem"), "ca_file": Path("/ca.pem"), "check_hostname": False}},
        {"sasl": {"mechanism": "PLAIN", "username": "jürgen", "password": "ﬁ,="}},
        {"sasl": {"mechanism": "SCRAM-SHA-512", "username": "o,d=d", "password": "ﬁ,="}},
        {"sasl": {"mechanism": "OAUTHBEARER", "token_provider": token}},
        {"sasl": {"mechanism": Own(), "token_provider": token}},
    ],
    ids=repr,
)
def test_what_goes_together_is_taken(options: dict[str, Any]) -> None:
    assert ClientConfig.build(BROKER, **options).model_fields_set == {"bootstrap_servers", *options}


def test_mistakes_in_sasl_do_not_hide_those_between_other_options() -> None:
    for sasl in ({"mechanism": "PLAIN"}, {"mechanism": "PLAIN", "username": "u", "password": 5}, {"username": "u"}):
        found = problems(sasl=sasl, acks=1, enable_idempotence=True, tls={"key_file": "/k.pem"})
        assert {line.split(":")[0].partition(".")[0] for line in found} == {"sasl", "tls", "acks"}


def test_a_setting_of_the_wrong_type_is_told_once() -> None:
    assert len(problems(sasl={"mechanism": "PLAIN", "username": "u", "password": 5})) == 1
    assert len(problems(tls={"cert_file": 5, "key_file": "/k.pem"})) == 1


def test_the_actors_get_the_settings_with_their_secrets_still_wrapped() -> None:
    config = ClientConfig.build(
        BROKER,
        tls={"ca_file": "/ca.pem", "cert_file": "/c.pem", "key_file": "/k.pem", "key_password": SECRET, "check_hostname": False},
        sasl={"mechanism": "SCRAM-SHA-512", "username": "u", "password": SECRET},
    )
    connection = client_settings(config, "test").connection
    tls, sasl = connection.tls, connection.sasl
    assert tls is not None
    assert sasl is not None
    assert (tls.ca_file, tls.cert_file, tls.key_file, tls.check_hostname, tls.context) == ("/ca.pem", "/c.pem", "/k.pem", False, None)
    assert (sasl.mechanism, sasl.username, sasl.token_provider) == ("SCRAM-SHA-512", "u", None)
    assert tls.key_password is not None
    assert sasl.password is not None
    assert tls.key_password.get_secret_value() == sasl.password.get_secret_value() == SECRET
    assert SECRET not in repr(connection)


def test_without_security_there_are_no_settings_of_it() -> None:
    connection = client_settings(ClientConfig.build(BROKER), "test").connection
    assert (connection.tls, connection.sasl) == (None, None)


def test_tls_true_is_the_systems_authorities_and_a_context_goes_through_as_it_is() -> None:
    tls = client_settings(ClientConfig.build(BROKER, tls=True), "test").connection.tls
    assert tls is not None
    assert (tls.ca_file, tls.cert_file, tls.check_hostname, tls.context) == (None, None, True, None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls = client_settings(ClientConfig.build(BROKER, tls=context), "test").connection.tls
    assert tls is not None
    assert tls.context is context


def test_a_servers_context_is_refused_before_anything_is_started_with_it() -> None:
    assert "tls: got SSLContext" in problems(tls=ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))[0]
    assert "it is a server's context" in problems(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))[0]


def test_a_mechanism_of_the_users_own_is_not_asked_for_its_repr() -> None:
    config = ClientConfig.build(BROKER, sasl={"mechanism": Own()})
    settings = client_settings(config, "test")
    assert SECRET not in repr(config) + str(config) + repr(settings)
    assert "X-OWN" in repr(config)


@pytest.mark.parametrize("way", WAYS)
def test_a_configuration_with_secrets_is_copied_and_pickled_like_all_others(way: Callable[[Any], Any]) -> None:
    config = ClientConfig.build(
        BROKER,
        tls=TlsConfig(cert_file="/c.pem", key_password=SECRET),
        sasl=SaslConfig(mechanism="PLAIN", username="u", password=SECRET),
    )
    other = way(config)
    assert other == config
    assert other.sasl.password.get_secret_value() == SECRET
    assert SECRET not in repr(other)
    assert hash(other) == hash(config)


def test_an_error_holds_no_secret_and_neither_does_its_pickle() -> None:
    with pytest.raises(ConfigError) as caught:
        ClientConfig.build(
            BROKER,
            tls={"key_password": SECRET},
            sasl={"mechanism": "OAUTHBEARER", "password": SECRET, "token_provider": SECRET, "secret": SECRET},
        )
    text = "".join(traceback.format_exception(caught.value))
    assert SECRET not in text
    assert SECRET.encode() not in pickle.dumps(caught.value)


@pytest.mark.parametrize("option", ["ca_file", "cert_file"])
def test_a_file_that_is_not_there_is_told_before_anything_starts(option: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    for start in (Client.start, Client.child_spec):
        with pytest.raises(ConfigError) as caught:
            start(BROKER, name="orders", tls={option: missing})
        assert caught.value.problems == (f"tls.{option}: {missing!r} can not be read: No such file or directory",)
