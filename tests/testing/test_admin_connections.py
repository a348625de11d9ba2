"""The connections of an `AdminClient`, with brokers that do as they are told."""

from __future__ import annotations

import threading
from pathlib import Path

import gevent
import pytest

from klife.admin import AdminClient, AdminError
from klife.errors import ConfigError
from klife.protocol.apis.api_versions import ApiVersionsRequest
from klife.protocol.apis.metadata import MetadataRequest
from klife.testing.cluster_processes import wait_until
from tests.support.scripted_broker import ScriptedCluster, controller, cut, silent
from tests.support.scripted_sasl import ScriptedSasl
from tests.support.secured import broker_context, made_in
from tests.support.sockets import socket_inodes


def turns_of_the_loop(seconds: float) -> int:
    """How many there are while nobody does anything."""
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1

    watcher = gevent.get_hub().loop.prepare()
    watcher.start(count)
    gevent.sleep(seconds)
    watcher.stop()
    return turns


def test_a_connection_that_the_broker_closes_while_nothing_is_asked_is_replaced_and_keeps_nobody_busy() -> None:
    with ScriptedCluster() as cluster, AdminClient(cluster.bootstrap_servers) as admin:
        before = admin.brokers()
        for broker in before:
            cluster[broker.node_id].cut_all()
        gevent.sleep(0.05)
        assert turns_of_the_loop(0.2) < 50
        admin.send(MetadataRequest(topics=[]), cluster.bootstrap_servers.split(",")[0])  # at once: no attempt is lost on it
        assert admin.brokers() == before


def test_a_client_that_is_let_go_of_leaves_no_connection() -> None:
    with ScriptedCluster() as cluster:
        before = socket_inodes()
        admin = AdminClient(cluster.bootstrap_servers)
        admin.brokers()
        made = socket_inodes() - before
        assert made
        del admin
        assert wait_until(lambda: not socket_inodes() & made, 10)


def test_a_token_provider_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("klife.admin.connection.BrokerConnection.__init__.__defaults__", (0.3,))
    go_on = threading.Event()
    with ScriptedCluster(sasl=ScriptedSasl(("OAUTHBEARER",))) as cluster:
        sasl = {"mechanism": "OAUTHBEARER", "token_provider": lambda: go_on.wait(30)}
        with AdminClient(cluster.bootstrap_servers, timeout=0.0, sasl=sasl) as admin:
            with pytest.raises(AdminError, match=r"the token provider has not answered: no answer within 0\.3 s"):
                admin.brokers()
            go_on.set()


def test_an_answer_that_does_not_come_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("klife.admin.connection.BrokerConnection.request.__defaults__", (0.1,))
    with ScriptedCluster() as cluster, AdminClient(cluster.bootstrap_servers, timeout=0.0) as admin:
        for broker in admin.brokers():
            cluster[broker.node_id].always(MetadataRequest, silent)
        with pytest.raises(AdminError, match=r"no broker answered within 0 s: 127\.0\.0\.1:\d+: no answer within 0\.1 s"):
            admin.brokers()


def test_a_connection_that_ends_in_the_middle_is_told() -> None:
    with ScriptedCluster() as cluster, AdminClient(cluster.bootstrap_servers, timeout=0.0) as admin:
        for broker in admin.brokers():
            cluster[broker.node_id].always(MetadataRequest, cut)
        with pytest.raises(AdminError, match=r"127\.0\.0\.1:\d+: the broker closed the connection"):
            admin.brokers()


def test_files_and_credentials_are_checked_at_the_start() -> None:
    with pytest.raises(ConfigError, match=r"tls\.ca_file"):
        AdminClient("localhost:9092", tls={"ca_file": "/nowhere/ca.pem"})
    for wrong in (float("nan"), -1, "5", None, True):
        with pytest.raises(ConfigError, match=r"timeout: got .* expected seconds as a number, 0 or more"):
            AdminClient("localhost:9092", timeout=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="sasl"):
        AdminClient("localhost:9092", sasl={"mechanism": "PLAIN", "username": "klife"})


def test_a_listener_that_wants_tls_is_told(tmp_path: Path) -> None:
    with ScriptedCluster(tls=broker_context(made_in(tmp_path))) as cluster:
        told_of(cluster, "set tls, or name a listener without it")


def test_a_listener_that_wants_sasl_is_told() -> None:
    with ScriptedCluster(sasl=ScriptedSasl(("PLAIN",))) as cluster:
        told_of(cluster, "a listener that wants SASL does that: set sasl")


def test_a_broker_that_closes_when_it_has_answered_before_wants_no_sasl() -> None:
    with ScriptedCluster() as cluster, AdminClient(cluster.bootstrap_servers, timeout=0.0) as admin:
        for broker in admin.brokers():
            cluster[broker.node_id].always(MetadataRequest, cut)
        with pytest.raises(AdminError) as told:
            admin.brokers()
    assert "SASL" not in str(told.value)


def test_a_controllers_listener_is_told() -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(ApiVersionsRequest, controller)
        told_of(cluster, "this is a KRaft controller's listener")


def told_of(cluster: ScriptedCluster, what: str) -> None:
    with AdminClient(cluster.bootstrap_servers, timeout=0.0) as admin, pytest.raises(AdminError, match=what):
        admin.brokers()
