"""`Client.doctor` at scripted brokers: what it looks at, what it finds, and that it ends in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.server import StreamServer

from klife import Client, ClientClosed, DoctorReport
from klife.protocol.apis.api_versions import ApiVersionsRequest
from klife.protocol.apis.metadata import MetadataRequest
from tests.support.scripted_broker import PATIENCE, Exchange, ScriptedCluster, cut, silent
from tests.support.scripted_sasl import ScriptedSasl
from tests.support.waiting import wait_until

HANDS = ["connect", "versions", "metadata"]


def looked(report: DoctorReport, target: str) -> list[str]:
    """The names of the checks there."""
    return [check.name for check in report.checks if check.target == target]


def failures(report: DoctorReport) -> list[tuple[str, str]]:
    return [(check.target, check.name) for check in report.checks if not check.ok]


@contextmanager
def client_of(servers: str, **options: Any) -> Iterator[Client]:
    with Client.start(servers, **options) as client:
        yield client
        client.stop(timeout=0)


def doctor_of(servers: str, timeout: float = 10.0, **options: Any) -> DoctorReport:
    with client_of(servers, **options) as client:
        return client.doctor(timeout)


def advertising(change: Callable[[Any], None]) -> Callable[[Exchange], None]:
    """A broker that tells of each broker what `change` makes of it."""

    def step(exchange: Exchange) -> None:
        response = exchange.good_answer()
        for broker in response.brokers:
            change(broker)
        exchange.send(response)

    return step


def test_all_well_is_told_of_every_address_once() -> None:
    with ScriptedCluster(brokers=3, topics={"orders": 3}) as cluster:
        report = doctor_of(cluster[1].address, topics=[{"name": "orders"}])
        assert report.ok, str(report)
        assert report.next_step == ""
        assert "the 3 brokers can be reached" in report.verdict
        assert looked(report, f"bootstrap {cluster[1].address}") == HANDS
        for node in (2, 3):
            assert looked(report, f"broker {node} at {cluster[node].address}") == HANDS
        assert looked(report, "cluster") == ["leaders"]
        assert "1 topic with 3 partitions" in str(report)


def test_it_works_from_a_running_client_and_from_another_thread(cluster: ScriptedCluster, client: Client) -> None:
    assert client.doctor().ok
    reports: list[DoctorReport] = []
    thread = threading.Thread(target=lambda: reports.append(client.doctor()))
    thread.start()
    wait_until(lambda: not thread.is_alive())
    assert reports[0].ok
    assert client.status().state == "running"
    client.stop()
    with pytest.raises(ClientClosed):
        client.doctor()


def test_a_wrong_port_is_told() -> None:
    report = doctor_of("127.0.0.1:1")
    assert failures(report) == [("bootstrap 127.0.0.1:1", "connect")]
    assert "Connection refused" in report.verdict
    assert "listens on that port" in report.next_step


def test_a_name_that_leads_nowhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_arguments: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    report = doctor_of("nowhere:9092")
    assert failures(report) == [("bootstrap nowhere:9092", "resolve")]
    assert "'nowhere' leads nowhere: Name or service not known" in report.verdict


def test_a_name_that_is_none_is_told_in_words_alone(cluster: ScriptedCluster, capfd: pytest.CaptureFixture[str]) -> None:
    address, cluster.host = cluster[1].address, "no..name"
    report = doctor_of(address)
    assert [name for _, name in failures(report)] == ["resolve"]
    assert "'no..name' leads nowhere: there is nothing between two of its dots" in report.verdict
    assert "Traceback" not in capfd.readouterr().err


def test_the_classic_a_bootstrap_that_answers_and_advertised_addresses_that_do_not() -> None:
    with ScriptedCluster(brokers=2) as cluster:
        cluster[1].always(MetadataRequest, advertising(lambda broker: setattr(broker, "port", broker.node_id)))
        report = doctor_of(cluster[1].address)
    assert failures(report) == [("broker 1 at 127.0.0.1:1", "connect"), ("broker 2 at 127.0.0.1:2", "connect")]
    assert report.verdict.startswith("The bootstrap answers, but none of the addresses that the brokers advertise can be reached")
    assert report.next_step.startswith("set advertised.listeners of each broker")


def test_one_broker_of_three_is_down() -> None:
    with ScriptedCluster(brokers=3) as cluster:
        cluster[3].stop()
        report = doctor_of(f"{cluster[1].address},{cluster[2].address}")
        assert failures(report) == [(f"broker 3 at {cluster[3].address}", "connect")]
    assert report.verdict.startswith("1 of 3 brokers can not be used from here: broker 3 at ")
    assert "look whether broker 3 runs" in report.next_step


def test_partitions_without_a_leader_are_told(cluster: ScriptedCluster) -> None:
    cluster.move("orders", 1, -1)
    report = doctor_of(cluster.bootstrap_servers, topics=[{"name": "orders"}, {"name": "payments"}])
    assert failures(report) == [("cluster", "leaders")]
    assert "1 partition of 3 without a leader: orders-1" in report.verdict
    assert "topic 'payments'" in report.verdict


def test_what_answers_with_tls_is_told() -> None:
    def alert(sock: Any, _address: Any) -> None:
        sock.recv(1)
        sock.sendall(b"\x15\x03\x03\x00\x02\x02\x50")

    server = StreamServer(("127.0.0.1", 0), alert)
    server.start()
    report = doctor_of(f"127.0.0.1:{server.server_port}")
    server.stop(timeout=0)
    [(_, name)] = failures(report)
    assert name == "tls"
    assert "set tls" in report.verdict


def test_a_listener_that_wants_sasl_is_told(cluster: ScriptedCluster) -> None:
    cluster[1].always(MetadataRequest, cut)
    report = doctor_of(cluster.bootstrap_servers)
    [(_, name)] = failures(report)
    assert name == "sasl"
    assert "set sasl" in report.verdict


def test_who_never_answers_costs_no_more_than_the_time_it_was_given(cluster: ScriptedCluster) -> None:
    cluster[1].always(ApiVersionsRequest, silent)
    began = monotonic()
    report = doctor_of(cluster.bootstrap_servers, timeout=1.0)
    assert monotonic() - began < PATIENCE
    assert failures(report) == [(f"bootstrap {cluster[1].address}", "versions")]
    assert "there was no answer within 0.45 s" in report.verdict


def test_who_takes_connections_and_says_nothing_in_tls_is_told_in_time() -> None:
    server = StreamServer(("127.0.0.1", 0), lambda sock, _address: sock.recv(1 << 16) and gevent.sleep(PATIENCE))
    server.start()
    report = doctor_of(f"127.0.0.1:{server.server_port}", timeout=5.0, tls=True)
    server.stop(timeout=0)
    assert [name for _, name in failures(report)] == ["tls"]
    assert "the TLS handshake was not through within 2.25 s" in report.verdict


def test_a_cluster_without_brokers_and_a_mechanism_that_gives_up_are_not_all_well(cluster: ScriptedCluster) -> None:
    class Own:
        name = "PLAIN"

        def exchange(self, _host: str) -> Any:
            raise gevent.Timeout(5)

    def alone(exchange: Exchange) -> None:
        response = exchange.good_answer()
        response.brokers.clear()
        exchange.send(response)

    with ScriptedCluster(sasl=ScriptedSasl()) as other:
        report = doctor_of(other.bootstrap_servers, timeout=2.0, sasl={"mechanism": Own()})
    assert "the mechanism failed with Timeout" in report.verdict
    with client_of(cluster.bootstrap_servers) as client:
        cluster[1].always(MetadataRequest, alone)
        report = client.doctor()
    assert [name for _, name in failures(report)] == ["metadata"]
    assert "brokers none" in report.verdict


def test_a_token_provider_that_hangs_is_what_is_to_be_mended() -> None:
    go_on = threading.Event()
    with ScriptedCluster(sasl=ScriptedSasl(("OAUTHBEARER",))) as cluster:
        sasl = {"mechanism": "OAUTHBEARER", "token_provider": lambda: go_on.wait(PATIENCE)}
        report = doctor_of(cluster.bootstrap_servers, timeout=1.0, sasl=sasl)
        go_on.set()
    assert "the token provider has not returned within 0.45 s" in report.verdict
    assert "call it by itself" in report.next_step


def test_what_is_not_through_in_time_is_told_as_that() -> None:
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    takers = [socket.socket() for _ in range(4)]  # the queue is full then, and the next connection is not answered
    for taker in takers:
        taker.setblocking(False)
        taker.connect_ex(full.getsockname())
    report = doctor_of(f"127.0.0.1:{full.getsockname()[1]}", timeout=0.5)
    assert not report.ok
    assert failures(report)[0][1] == "connect"
    for sock in (full, *takers):
        sock.close()


def test_a_doctor_that_is_killed_leaves_no_connection(cluster: ScriptedCluster, client: Client) -> None:
    before = len(cluster[1]._socks)
    cluster[1].always(ApiVersionsRequest, silent)
    looking = gevent.spawn(client.doctor)
    wait_until(lambda: len(cluster[1]._socks) != before)
    looking.kill()
    wait_until(lambda: len(cluster[1]._socks) <= before)
