"""The doctor on a real cluster with TLS and SASL: all well, and each of the usual mistakes; and the commands
there.
"""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import gevent
import pytest

from klife import Client, ClientConfig, DoctorReport, Record
from klife.cli.cluster_listeners import client_properties
from klife.testing.cluster import KafkaCluster
from tests.support.cli_command import COMMAND, environment
from tests.support.token_endpoint import TokenEndpoint

LONGEST_GAP_SECONDS = 0.5  # room for a busy machine; who waits in the hub's place waits for seconds
DOWN_SECONDS = 30.0
PATIENCE = 20.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    """Three brokers; those of the listener PROXIED send their clients to where nobody listens."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(3)]  # bound, and nobody else's as long as the tests run
        for each in taken:
            each.bind(("127.0.0.1", 0))
        nobody = {node: f"127.0.0.1:{each.getsockname()[1]}" for node, each in enumerate(taken, 1)}
        config = {"ssl.client.auth": "required"}
        cluster = KafkaCluster(3, listeners=["SSL", "SASL_SSL"], proxies=nobody, backend="jars", config=config)
        stack.enter_context(cluster)
        cluster.create_topic("orders", partitions=3, replication_factor=3)
        yield cluster


def doctor_of(servers: str | ClientConfig, timeout: float = 10.0, **options: Any) -> DoctorReport:
    with Client.start(servers, **options) as client:
        return client.doctor(timeout)


def secured(cluster: KafkaCluster, **changes: Any) -> dict[str, Any]:
    return {"tls": cluster.tls_for("SASL_SSL"), "sasl": cluster.sasl_for("SCRAM-SHA-512")} | changes


def first_failure(report: DoctorReport) -> tuple[str, str]:
    check = next(check for check in report.checks if not check.ok)
    return check.name, check.detail


def test_all_is_well_and_the_hub_goes_on_meanwhile(cluster: KafkaCluster) -> None:
    gaps = []

    def tick() -> None:
        while True:
            before = monotonic()
            gevent.sleep(0.001)
            gaps.append(monotonic() - before)

    servers = cluster.bootstrap_servers_for("SASL_SSL")
    with Client.start(servers, topics=[{"name": "orders"}], **secured(cluster)) as client:
        client.wait_ready()
        ticker = gevent.spawn(tick)
        report = client.doctor()
        ticker.kill()
    assert report.ok, str(report)
    assert report.verdict == "All is well: the 3 brokers can be reached from here at the addresses they advertise."
    names = [check.name for check in report.checks if check.target == f"bootstrap {servers.split(',')[0]}"]
    assert names == ["connect", "tls", "sasl", "versions", "metadata"]
    told = str(report)
    assert "TLS 1.3, for localhost, 127.0.0.1, by klife intermediate, until 20" in told
    assert "SCRAM-SHA-512 as 'klife'" in told
    assert "1 topic with 3 partitions, and each has one" in told
    assert max(gaps) < LONGEST_GAP_SECONDS


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"])
def test_every_mechanism_is_taken(cluster: KafkaCluster, mechanism: str) -> None:
    report = doctor_of(cluster.bootstrap_servers_for("SASL_SSL"), **secured(cluster, sasl=cluster.sasl_for(mechanism)))
    assert report.ok, str(report)
    assert mechanism in str(report)


def test_tokens_of_a_server_are_taken_and_asked_for_once(cluster: KafkaCluster) -> None:
    token = cluster.sasl_for("OAUTHBEARER", token_seconds=600)["token_provider"]()
    endpoint = TokenEndpoint()
    endpoint.answers(200, {"access_token": token, "token_type": "Bearer", "expires_in": 600})
    try:
        properties = {
            "bootstrap.servers": cluster.bootstrap_servers_for("SASL_SSL"),
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": cluster.tls_for("SASL_SSL")["ca_file"],
            "sasl.mechanism": "OAUTHBEARER",
            "sasl.oauthbearer.token.endpoint.url": endpoint.url,
            "sasl.oauthbearer.client.id": "orders",
            "sasl.oauthbearer.client.secret": "hunter2",
        }
        with Client.start(ClientConfig.from_properties(properties)) as client:
            assert client.produce(Record("orders", b"by token")).get(PATIENCE).error is None
            report = client.doctor()
        assert report.ok, str(report)
        assert len(endpoint.asked) == 1
        endpoint.answers(401, {"error": "invalid_client", "error_description": "hunter2 is no secret here"})
        name, detail = first_failure(doctor_of(ClientConfig.from_properties(properties)))
    finally:
        endpoint.close()
    assert name == "sasl"
    assert "401: invalid_client: *** is no secret here" in detail


def test_an_authority_that_did_not_sign_the_brokers_certificates(cluster: KafkaCluster) -> None:
    other = cluster.certificates.another_authority()
    tls = cluster.tls_for("SASL_SSL", ca_file=other.ca_file)
    report = doctor_of(cluster.bootstrap_servers_for("SASL_SSL"), **secured(cluster, tls=tls))
    name, detail = first_failure(report)
    assert name == "tls"
    assert "not signed by an authority in ca_file" in detail
    assert other.ca_file in report.verdict
    assert "settings of tls" in report.next_step


def test_a_wrong_password_with_the_brokers_own_words(cluster: KafkaCluster) -> None:
    sasl = cluster.sasl_for("SCRAM-SHA-512") | {"password": "hunter2"}
    report = doctor_of(cluster.bootstrap_servers_for("SASL_SSL"), **secured(cluster, sasl=sasl))
    name, detail = first_failure(report)
    assert name == "sasl"
    assert "SCRAM-SHA-512" in detail
    assert "'klife'" in detail
    assert "invalid credentials" in detail
    assert "credentials in the option sasl" in report.next_step
    assert "hunter2" not in f"{report} {report!r}"


def test_no_sasl_no_tls_and_no_certificate_where_they_are_wanted(cluster: KafkaCluster) -> None:
    servers = cluster.bootstrap_servers_for("SASL_SSL")
    name, detail = first_failure(doctor_of(servers, tls=cluster.tls_for("SASL_SSL")))
    assert (name, "SCRAM-SHA-512" in detail, "set sasl" in detail) == ("sasl", True, True)
    name, detail = first_failure(doctor_of(servers))
    assert (name, "speaks TLS" in detail) == ("tls", True)
    mutual = cluster.bootstrap_servers_for("SSL")
    assert doctor_of(mutual, tls=cluster.tls_for("SSL")).ok
    name, detail = first_failure(doctor_of(mutual, tls=cluster.tls_for("SSL", cert_file=None, key_file=None)))
    assert (name, "cert_file" in detail) == ("tls", True)


def test_a_wrong_port_is_told_by_what_is_there(cluster: KafkaCluster) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        report = doctor_of(f"127.0.0.1:{taken.getsockname()[1]}", **secured(cluster))
    assert first_failure(report)[0] == "connect"
    assert "does not take a connection: Connection refused" in report.verdict
    name, detail = first_failure(doctor_of(cluster.bootstrap_servers, **secured(cluster)))
    assert (name, "a listener without TLS does that" in detail) == ("tls", True)
    report = doctor_of(cluster.bootstrap_servers_for("SSL"), **secured(cluster, tls=cluster.tls_for("SSL")))
    assert first_failure(report)[0] == "sasl"
    assert "this listener speaks no SASL" in report.verdict


def test_advertised_addresses_that_nobody_can_reach(cluster: KafkaCluster) -> None:
    report = doctor_of(cluster.bootstrap_servers_for("PROXIED"))
    failed = [check for check in report.checks if not check.ok]
    assert [(check.name, check.target.partition(" at ")[0]) for check in failed] == [
        ("connect", f"broker {node}") for node in (1, 2, 3)
    ]
    assert report.verdict.startswith("The bootstrap answers, but none of the addresses that the brokers advertise can be reached")
    assert "advertised.listeners" in report.next_step


def test_the_commands_speak_tls_and_log_in_as_a_file_says(cluster: KafkaCluster, tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("".join(f"{name}={value}\n" for name, value in client_properties(cluster, "SASL_SSL").items()))

    def klife(*arguments: str, text: str = "") -> str:
        command = [*COMMAND, *arguments, "--config", str(file)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=280, check=False, env=environment())
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert klife("produce", "orders", text="a\nb\n").startswith("2 delivered, 0 failed")
    assert len([line for line in klife("topics").splitlines() if line.startswith("orders ")]) == 3
    assert "SCRAM-SHA-512 as 'klife'" in klife("doctor")
    assert "records are there" in klife("demo", "--seconds", "0.5", "--greenlets", "5")


def test_one_broker_of_three_is_down_and_comes_back_with_a_certificate_that_has_expired(cluster: KafkaCluster) -> None:
    first, _, third = cluster.bootstrap_servers_for("SASL_SSL").split(",")
    cluster.kill(3)
    cluster.certificates.renew_server(3, expired=True)
    try:
        with Client.start(first, topics=[{"name": "orders"}], **secured(cluster)) as client:
            report = client.doctor()
            assert not report.ok
            assert "broker 3" in report.verdict  # it does not take a connection, or is away already
            with gevent.Timeout(DOWN_SECONDS):
                while "is away" not in report.verdict:
                    report = client.doctor()
            assert "All brokers can be reached, but broker 3 is away, and has replicas of 3 partitions" in report.verdict
            assert report.next_step == "start broker 3"
    finally:
        cluster.start(3)
    name, detail = first_failure(doctor_of(third, **secured(cluster)))
    assert name == "tls"
    assert re.search(r"the broker's certificate has expired: it was valid until 20\d\d-.* UTC; renew it at the broker", detail)
